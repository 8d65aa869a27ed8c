// page.js - draws the figures one by one, the bars first; zooms the chart, sorts the trades.
const page = document.documentElement
const NARROW_BARS = 70 // of the first view on a phone
const PAPER = 680 // pixels, A4 less its margins
// A frame, or 100 ms where there are none: in a tab behind another, or while a still picture is taken.
const pause = () => new Promise((resume) => {
    requestAnimationFrame(() => setTimeout(resume))
    setTimeout(resume, 100)
})

const draw_all = async () => {
    for (const script of document.querySelectorAll("script.figure")) {
        await pause()
        await Bokeh.embed.embed_item(JSON.parse(script.textContent), script.dataset.target)
        script.remove()
        if (script.dataset.target.startsWith("bars-")) fit_screen()
        performance.mark(script.dataset.target)
    }
    page.dataset.drawn = "all"
}

const chart = () => Bokeh.documents.map((document) => document.get_model_by_name("bars")).find(Boolean)

const show = (start, end) => {
    const { x_range } = chart()
    const [low, high] = x_range.bounds
    const from = Math.max(low, Math.min(start, high - x_range.min_interval))
    x_range.setv({ start: from, end: Math.min(high, Math.max(end, from + x_range.min_interval)) })
}

const fit_screen = () => {
    const { x_range } = chart()
    if (innerWidth < 600) x_range.reset_start = Math.max(x_range.reset_start, x_range.reset_end - NARROW_BARS)
    x_range.start = x_range.reset_start
    // A finger moves the bars sideways, and the page up and down.
    const { canvas } = Bokeh.index.find_one(chart())
    canvas.events_el.style.touchAction = "pan-y"
}

const zoom = (way) => {
    const { x_range } = chart(), { start, end, bounds: [low, high] } = x_range
    if (way === "all") return show(low, high)
    if (way === "last") return show(x_range.reset_start, x_range.reset_end)
    const half = ((end - start) / 2) * Number(way), middle = end === high ? high - half : (start + end) / 2
    show(middle - half, middle + half)
}

const sort = (heading) => {
    const rows = heading.closest("table").tBodies[0], column = heading.cellIndex
    const rising = heading.ariaSort === "descending"
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort")
    heading.ariaSort = rising ? "ascending" : "descending"
    const key = (row) => row.cells[column].textContent
    const number = (text) => Number(text.replaceAll(",", "").replace("\u2212", "-"))
    const compare = (a, b) => number(a) - number(b) || a.localeCompare(b)
    const sorted = [...rows.rows].sort((a, b) => compare(key(a), key(b)) * (rising ? 1 : -1))
    rows.append(...sorted)
}

document.addEventListener("click", ({ target }) => {
    const button = target.closest("button[data-zoom]"), heading = target.closest(".sortable th")
    const row = target.closest(".sortable tbody tr")
    if (heading) sort(heading)
    if (!chart()) return // not drawn yet
    if (button) zoom(button.dataset.zoom)
    if (row) {
        const [offset] = chart().tags
        const from = Number(row.dataset.from) - offset, to = Number(row.dataset.to) - offset
        const room = Math.max(20, to - from)
        show(from - room, to + room)
        document.getElementById("bars").scrollIntoView({ behavior: "smooth" })
    }
})

// Paper is narrower than the screen that the figures were drawn for.
addEventListener("beforeprint", () => {
    const [figures] = document.getElementsByClassName("figures")
    if (figures) page.style.setProperty("--fit", Math.min(1, PAPER / figures.clientWidth))
})

Bokeh.set_log_level("warn")
draw_all()
