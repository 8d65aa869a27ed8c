// page.js - draw the figures one by one, the bars first, so that something is seen before all is ready.
const page = document.documentElement
const pause = () => new Promise((resume) => requestAnimationFrame(() => setTimeout(resume)))
const views = []

const draw_all = async () => {
    for (const script of document.querySelectorAll("script.figure")) {
        await pause()
        const found = await Bokeh.embed.embed_item(JSON.parse(script.textContent), script.dataset.target)
        views.push(...found)
        script.remove()
        performance.mark(script.dataset.target)
    }
    page.dataset.drawn = "all"
}

const chart = () => {
    for (const view of views) {
        const plot = view.model.select_one?.("bars") ?? view.model.document.get_model_by_name("bars")
        if (plot) return plot
    }
}

const show = (start, end) => {
    const { x_range } = chart()
    const [low, high] = x_range.bounds
    const from = Math.max(low, Math.min(start, high - x_range.min_interval))
    x_range.setv({ start: from, end: Math.min(high, Math.max(end, from + x_range.min_interval)) })
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
    if (button) zoom(button.dataset.zoom)
    if (heading) sort(heading)
    if (row) {
        const from = Number(row.dataset.from), to = Number(row.dataset.to), room = Math.max(20, to - from)
        show(from - room, to + room)
        document.getElementById("bars").scrollIntoView({ behavior: "smooth" })
    }
})

Bokeh.set_log_level("warn")
draw_all()
