// tick_text.js - the label of a tick, as fine as the distance between ticks; the first one has the year.
const DAY = 24 * 60 * 60e3
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

const { datetime } = bars.data
const date = new Date(datetime[tick])
const apart = ticks.length > 1 ? (datetime[ticks.at(-1)] - datetime[ticks[0]]) / (ticks.length - 1) : DAY
const begins_day = tick === 0 || date.getUTCDate() !== new Date(datetime[tick - 1]).getUTCDate()
if (apart > 300 * DAY) return `${date.getUTCFullYear()}`
if (apart > 26 * DAY) return `${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`
return apart > 0.9 * DAY || begins_day
    ? `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}${tick === ticks[0] ? ` ${date.getUTCFullYear()}` : ""}`
    : date.toISOString().slice(11, 16)
