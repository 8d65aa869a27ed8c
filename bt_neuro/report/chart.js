// chart.js - candles and arrows of the visible range: a candle is 1 bar, or 2, 4, 8 ... when zoomed out, and
// arrows appear if there is room for them. Bokeh runs it when the range or the width changes.
const PIXELS_A_CANDLE = 4, PIXELS_AN_ARROW = 6

const { datetime, close } = bars.data
const { open = close, high = close, low = close, signal, hit, confidence, fractal } = bars.data
const first = Math.max(0, Math.floor(x_range.start))
const last = Math.min(close.length, Math.ceil(x_range.end))
const shown = Math.max(1, last - first)
if (plot.properties.inner_width.is_unset) return // not laid out yet; called again once it is
const width = plot.inner_width
const step = 2 ** Math.max(0, Math.ceil(Math.log2((shown * PIXELS_A_CANDLE) / width)))
const time = (bar) => new Date(datetime[bar]).toISOString().slice(0, 16).replace("T", " ")

const candle = { x: [], width: [], open: [], high: [], low: [], close: [], top: [], bottom: [], filled: [], when: [],
    outcome: [] }
let lowest = Infinity, highest = -Infinity, signals = 0
const outcome_of = (bar) => {
    const outcome = ["label not known yet", "missed", "hit"][hit[bar] + 1]
    return signal[bar] ? `${["", "buy", "sell"][signal[bar]]}, p ${confidence[bar].toFixed(2)}, ${outcome}` : "none"
}
for (let from = Math.floor(first / step) * step; from < last; from += step) {
    const to = Math.min(from + step, close.length)
    let above = -Infinity, below = Infinity, count = 0
    for (let bar = from; bar < to; bar++) {
        above = Math.max(above, high[bar])
        below = Math.min(below, low[bar])
        count += signal[bar] !== 0 && bar >= first && bar < last
    }
    const begins = open[from], ends = close[to - 1]
    candle.x.push((from + to - 1) / 2)
    candle.width.push((to - from) * 0.7)
    candle.open.push(begins)
    candle.close.push(ends)
    candle.high.push(above)
    candle.low.push(below)
    candle.top.push(Math.max(begins, ends))
    candle.bottom.push(Math.min(begins, ends))
    candle.filled.push(ends < begins ? 1 : 0)
    candle.when.push(step === 1 ? time(from) : `${time(from)} to ${time(to - 1)}`)
    candle.outcome.push(step === 1 ? outcome_of(from) : `${count} signals`)
    highest = Math.max(highest, above)
    lowest = Math.min(lowest, below)
    signals += count
}

const span = highest - lowest || Math.abs(highest) * 0.001 || 1
const room = (pixels) => (pixels / plot.inner_height) * span * 1.2
const roomy = signals * PIXELS_AN_ARROW <= width
const arrow = { x: [], y: [], marker: [], color: [], filled: [] }
const dot = { x: [], y: [] }
for (let bar = first; bar < last; bar++) {
    if (step === 1) {
        if (fractal[bar] & 1) dot.x.push(bar), dot.y.push(low[bar] - room(5))
        if (fractal[bar] & 2) dot.x.push(bar), dot.y.push(high[bar] + room(5))
    }
    if (roomy && signal[bar]) {
        const buy = signal[bar] === 1
        arrow.x.push(bar)
        arrow.y.push(buy ? low[bar] - room(14) : high[bar] + room(14))
        arrow.marker.push(buy ? "triangle" : "inverted_triangle")
        arrow.color.push(colors[hit[bar] + 1])
        arrow.filled.push(hit[bar] === 1 ? 1 : 0)
    }
}

candles.data = candle
arrows.data = arrow
fractals.data = dot
y_range.setv({ start: lowest - room(26), end: highest + room(26) })
const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`
plot.title.text = `${counted(shown, "bar")}${step > 1 ? `, ${step.toLocaleString("en")} a candle` : ""}; ` +
    `${counted(signals, "signal")}${roomy ? "" : " (zoom in to see them)"}`
