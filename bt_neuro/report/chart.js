// chart.js - the visible bars: candles of 1 bar, or 2, 4, 8 ... when zoomed out, with account, signals and trades
// where there is room for them. Bokeh runs it when the range, the width or the selected trade changes.
const PIXELS_A_CANDLE = 4, PIXELS_A_MARK = 6, PIXELS_A_TICK = 90
if (plot.properties.inner_width.is_unset) return // not laid out yet; called again once it is
const { seconds, close, signal, hit, confidence, fractal, equity, fall: falls } = bars.data
const { open = close, high = close, low = close } = bars.data
const first = Math.max(0, Math.floor(x_range.start)), last = Math.min(close.length, Math.ceil(x_range.end))
const shown = Math.max(1, last - first), width = plot.inner_width
const step = 2 ** Math.max(0, Math.ceil(Math.log2((shown * PIXELS_A_CANDLE) / width)))
const iso = (bar) => new Date(origin + 1000 * seconds[bar]).toISOString().replace("T", " ")
const table = (names) => Object.fromEntries(names.map((name) => [name, []]))
const add = (target, row) => { for (const name in row) target[name].push(row[name]) }

const candle = table(Object.keys(candles.data)), money = table(Object.keys(account.data))
let lowest = Infinity, highest = -Infinity, signals = 0
const outcome_of = (bar) => signal[bar] === 0 ? "none" :
    `${["", "buy", "sell"][signal[bar]]}, p ${(confidence[bar] / 100).toFixed(2)}, ${["label not known yet", "missed", "hit"][hit[bar] + 1]}`
for (let from = Math.floor(first / step) * step; from < last; from += step) {
    const end = Math.min(from + step, close.length) - 1
    let above = -Infinity, below = Infinity, fall = 0, count = 0
    for (let bar = from; bar <= end; bar++) {
        above = Math.max(above, high[bar])
        below = Math.min(below, low[bar])
        fall = Math.min(fall, falls[bar])
        count += signal[bar] !== 0 && bar >= first && bar < last
    }
    const x = (from + end) / 2, begins = open[from], ends = close[end]
    const when = iso(from).slice(0, 16) + (step === 1 ? "" : ` to ${iso(end).slice(0, 16)}`)
    add(candle, { x, width: (end - from + 1) * 0.7, open: begins, high: above, low: below, close: ends,
        top: Math.max(begins, ends), bottom: Math.min(begins, ends), filled: ends < begins ? 1 : 0, when,
        outcome: step === 1 ? outcome_of(from) : `${count} signals` })
    add(money, { x, when, fall, equity: equity[end], hold: end < hold_from ? NaN : hold_scale * close[end] })
    highest = Math.max(highest, above)
    lowest = Math.min(lowest, below)
    signals += count
}

const span = highest - lowest || Math.abs(highest) * 0.001 || 1
const room = (pixels) => (pixels / plot.inner_height) * span * 1.2
const roomy = signals * PIXELS_A_MARK <= width
const arrow = table(Object.keys(arrows.data)), dot = table(["x", "y"])
for (let bar = first; bar < last; bar++) {
    if (step === 1) {
        if (fractal[bar] & 1) add(dot, { x: bar, y: low[bar] - room(5) })
        if (fractal[bar] & 2) add(dot, { x: bar, y: high[bar] + room(5) })
    }
    if (!roomy || !signal[bar]) continue
    const buy = signal[bar] === 1
    add(arrow, { x: bar, y: buy ? low[bar] - room(14) : high[bar] + room(14), filled: hit[bar] === 1 ? 1 : 0,
        marker: buy ? "triangle" : "inverted_triangle", alpha: hit[bar] < 0 ? 0.5 : 1 })
}

// Trades that lie in the range, or the selected one where they are too many.
const all = trades.data, chosen = trades.selected.indices[0] ?? -1, trade = table(Object.keys(fills.data))
let visible = []
for (let row = 0; row < all.entry.length; row++) if (all.entry[row] < last && all.exit[row] >= first) visible.push(row)
const crowded = visible.length * 2 * PIXELS_A_MARK > width
for (const row of crowded ? visible.filter((row) => row === chosen) : visible) {
    add(trade, { trade: row, entry: all.entry[row], exit: all.exit[row], entry_price: all.entry_price[row],
        exit_price: all.exit_price[row], color: colors[Number(all.net[row] > 0)], line: row === chosen ? 4 : 2,
        size: 5 + 7 * Math.sqrt(all.size[row] / largest), ended: all.is_open[row] ? 0 : 1,
        net: all.net[row], net_pct: all.net_pct[row], units: all.size[row], side: all.side[row] > 0 ? "long" : "short" })
}
box.setv(chosen < 0 ? { visible: false } : { visible: true, left: all.entry[chosen] - 0.5, right: all.exit[chosen] + 0.5 })

// Ticks where a year, a month, a day or an hour begins: the axis counts bars, so nights and weekends take no room.
const HOUR = 3600, DAY = 24 * HOUR
const month = (bar) => Number(iso(bar).slice(0, 4)) * 12 + Number(iso(bar).slice(5, 7)) - 1
const UNITS = [
    ...[60, 300, 900, 1800, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY].map((unit) =>
        (bar) => Math.floor((origin / 1000 + seconds[bar]) / unit)),
    (bar) => Math.floor(((origin / 1000 + seconds[bar]) / DAY + 3) / 7), // weeks from Monday
    ...[1, 2, 3, 6, 12, 24, 60, 120].map((unit) => (bar) => Math.floor(month(bar) / unit)),
]
const set_ticks = (axis, from, to, pixels) => {
    const every = Math.max(1, Math.floor((to - from) / 400)), most = Math.max(2, Math.floor(pixels / PIXELS_A_TICK))
    const near = ((to - from) * PIXELS_A_TICK * 0.7) / pixels
    for (const [level, unit] of UNITS.entries()) {
        let ticks = [], before = null
        for (let bar = from; bar < to; bar += every) {
            const value = unit(bar)
            if (before !== null && value !== before) ticks.push(bar)
            before = value
        }
        if (ticks.length > 1.5 * most) continue
        // Two that are near each other, as before and after a weekend: the later one begins a day. The first is longer.
        ticks = ticks.filter((bar, at) => !(ticks[at + 1] - bar < near * (at ? 1 : 1.5)))
        if (ticks.length > most) continue
        const day = (bar) => iso(bar).slice(0, 10), months = level > 10, years = level > 14
        const text = (bar, at) => {
            const date = new Date(origin + 1000 * seconds[bar])
            const name = date.toLocaleDateString("en-US", { month: "short", timeZone: "UTC" })
            if (years) return day(bar).slice(0, 4)
            if (months) return `${name} ${day(bar).slice(0, 4)}`
            if (at === 0) return `${date.getUTCDate()} ${name} ${day(bar).slice(0, 4)}`
            return level > 7 || day(bar) !== day(ticks[at - 1]) ? `${date.getUTCDate()} ${name}` : iso(bar).slice(11, 16)
        }
        axis.setv({ major_label_overrides: new Map(ticks.map((bar, at) => [bar, text(bar, at)])) })
        axis.ticker.ticks = ticks
        return
    }
}
set_ticks(axis, first, last, width)
if (strip_axis.ticker.width !== width) set_ticks(strip_axis, 0, close.length, width)
strip_axis.ticker.width = width

candles.data = candle
arrows.data = arrow
fractals.data = dot
fills.data = trade
account.data = money
y_range.setv({ start: lowest - room(26), end: highest + room(26) })
const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`
const hidden = [roomy ? "" : "signals", crowded ? "trades" : ""].filter(Boolean).join(" and ")
plot.title.text = `${counted(shown, "bar")}${step > 1 ? `, ${step.toLocaleString("en")} a candle` : ""}; ` +
    `${counted(signals, "signal")}; ${counted(visible.length, "trade")}${hidden ? ` (zoom in to see ${hidden})` : ""}`
