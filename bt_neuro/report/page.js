// page.js - draws the figures one by one, the bars first, and moves the chart by buttons and keys.
const page = document.documentElement
const find = (selector) => document.querySelector(selector)
const NARROW_BARS = 70 // of the first view on a phone
const PAPER = 680 // pixels, A4 less its margins
const BUSY_MS = 100 // without a pause for the pointer and the keys
// A frame, or 100 ms where there are none: in a tab behind another, or while a still picture is taken.
const pause = () => new Promise((resume) => {
    requestAnimationFrame(() => setTimeout(resume))
    setTimeout(resume, 100)
})
const model = (name) => Bokeh.documents.map((document) => document.get_model_by_name(name)).find(Boolean)
const chart = () => model("bars")

const draw_all = async () => {
    const style = getComputedStyle(page)
    let begun = 0
    const colors = Object.entries(JSON.parse(page.dataset.colors)) // of the figures, and what the theme makes of them
    for (const script of document.querySelectorAll("script.figure")) {
        if (performance.now() - begun > BUSY_MS) {
            await pause()
            begun = performance.now()
        }
        let text = script.textContent
        for (const [color, name] of colors) text = text.replaceAll(color, style.getPropertyValue(name))
        await Bokeh.embed.embed_item(JSON.parse(text), script.dataset.target)
        script.remove()
        if (script.dataset.target.startsWith("bars-")) {
            fit_screen()
            show_trades()
        }
        performance.mark(script.dataset.target)
    }
    page.dataset.drawn = "all"
}

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
    for (const plot of ["bars", "equity", "drawdown"].map(model).filter(Boolean))
        Bokeh.index.find_one(plot).canvas.events_el.style.touchAction = "pan-y"
}

const move = (way) => {
    const { x_range } = chart(), { start, end, bounds: [low, high] } = x_range
    if (way === "all") return show(low, high)
    if (way === "last") return show(x_range.reset_start, x_range.reset_end)
    if (way === "left" || way === "right") {
        const by = ((end - start) / 4) * (way === "left" ? -1 : 1)
        return by > 0 && end >= high ? undefined : show(start + by, end + by)
    }
    const half = ((end - start) / 2) * Number(way), middle = end === high ? high - half : (start + end) / 2
    show(middle - half, middle + half)
}
const KEYS = { ArrowLeft: "left", ArrowRight: "right", "+": "0.5", "=": "0.5", "-": "2", Home: "all", End: "last" }

document.addEventListener("click", ({ target }) => {
    const button = target.closest("button[data-move]")
    if (button && chart()) move(button.dataset.move)
})
find("#bars-0")?.addEventListener("keydown", (event) => {
    if (!chart() || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key in KEYS) move(KEYS[event.key])
    else if (event.key === "n" || event.key === "p") next_trade(event.key === "n" ? 1 : -1)
    else return
    event.preventDefault()
})
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload())

// Paper is narrower than the screen that the figures were drawn for: they keep their width, and are zoomed.
addEventListener("beforeprint", () => {
    const width = find(".figures")?.clientWidth
    page.style.setProperty("--wide", `${width}px`)
    page.style.setProperty("--fit", Math.min(1, PAPER / width))
})

Bokeh.set_log_level("error")
draw_all()
