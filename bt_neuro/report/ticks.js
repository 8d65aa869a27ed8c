// ticks.js - the bars that begin a year, a month, a day or an hour. The axis counts bars, so nights and weekends
// take no room.
const PIXELS_A_TICK = 90
const MINUTE = 60e3, HOUR = 60 * MINUTE, DAY = 24 * HOUR

const { datetime } = bars.data
const first = Math.max(0, Math.ceil(cb_data.start))
const last = Math.min(datetime.length - 1, Math.floor(cb_data.end))
if (last <= first) return []
const most = plot.properties.inner_width.is_unset ? 4 : Math.max(2, plot.inner_width / PIXELS_A_TICK)
const begin = datetime[first], end = datetime[last]

const months = (count) => (when) => {
    const date = new Date(when)
    const month = Math.floor((date.getUTCFullYear() * 12 + date.getUTCMonth()) / count) * count
    return [Date.UTC(Math.floor(month / 12), month % 12), Date.UTC(Math.floor(month / 12), (month % 12) + count)]
}
const spans = (length) => (when) => {
    const start = Math.floor(when / length) * length
    return [start, start + length]
}
const units = [
    ...[1, 2, 5, 15, 30].map((count) => [count * MINUTE, spans(count * MINUTE)]),
    ...[1, 2, 3, 6, 12].map((count) => [count * HOUR, spans(count * HOUR)]),
    ...[1, 2, 4, 7, 14].map((count) => [count * DAY, spans(count * DAY)]),
    ...[1, 2, 3, 6, 12, 24, 60, 120].map((count) => [count * 30.4 * DAY, months(count)]),
]

const at_or_after = (when) => {
    let low = first, high = last + 1
    while (low < high) {
        const middle = (low + high) >> 1
        if (datetime[middle] < when) low = middle + 1
        else high = middle
    }
    return low
}
for (const [length, around] of units) {
    if ((end - begin) / length > most * 2.5) continue // a rough count first; nights and weekends hold no bars
    const ticks = new Set()
    for (let when = around(begin)[1]; when <= end; when = around(when)[1]) ticks.add(at_or_after(when))
    if (ticks.size <= most) return [...ticks]
}
return []
