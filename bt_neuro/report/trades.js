// trades.js - the table of trades: sorted, filtered, a page at a time; what is selected here is so on the chart.
const ROWS = 50 // of a page
const OUTCOMES = ["missed", "hit", "not known yet", "none"]
let trades, order = [], first = 0, by = "entry_time", rising = false

const form = find("#filters"), body = find("#trades tbody")
const headings = [...document.querySelectorAll("#trades th")]
const minute = (time) => new Date(time).toISOString().slice(0, 16).replace("T", " ")
const number = (value, digits) =>
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "\u2212")
const FORMS = {
    time: minute,
    side: (side) => (side > 0 ? "long" : "short"),
    outcome: (outcome) => OUTCOMES[outcome],
}
const text_of = (row, { dataset: { key, form } }) => {
    if (trades.data.is_open[row] && key === "exit_time") return "open"
    if (Number.isNaN(trades.data[key][row])) return "--"
    return (FORMS[form] ?? ((value) => number(value, Number(form))))(trades.data[key][row])
}

const filter = () => {
    const wanted = Object.fromEntries(new FormData(form)), { data } = trades
    const rules = [
        [wanted.side, (row) => data.side[row] === Number(wanted.side)],
        [wanted.result, (row) => (data.is_open[row] ? "open" : data.net[row] > 0 ? "won" : "lost") === wanted.result],
        [wanted.outcome, (row) => data.outcome[row] === Number(wanted.outcome)],
        [wanted.hour, (row) => new Date(data.entry_time[row]).getUTCHours() === Number(wanted.hour)],
        [wanted.least, (row) => data.bars[row] >= Number(wanted.least)],
        [wanted.most, (row) => data.bars[row] <= Number(wanted.most)],
    ].filter(([value]) => value !== "")
    const key = data[by], way = rising ? 1 : -1
    order = [...data.net.keys()].filter((row) => rules.every(([, holds]) => holds(row)))
    order.sort((a, b) => (key[a] - key[b]) * way || a - b)
    first = 0
    fill()
}

const fill = () => {
    const chosen = trades.selected.indices[0], last = Math.min(first + ROWS, order.length)
    body.replaceChildren(...order.slice(first, last).map((row) => {
        const line = document.createElement("tr")
        line.dataset.trade = row
        if (row === chosen) line.setAttribute("aria-current", "true")
        headings.forEach((heading, at) => {
            const cell = line.insertCell(), text = text_of(row, heading)
            if (at) return (cell.textContent = text)
            const button = cell.appendChild(document.createElement("button"))
            button.textContent = text
            button.title = "Show this trade on the chart"
        })
        return line
    }))
    headings.forEach((heading) => {
        if (heading.dataset.key === by) heading.ariaSort = rising ? "ascending" : "descending"
        else heading.removeAttribute("aria-sort")
    })
    const net = order.reduce((sum, row) => sum + trades.data.net[row], 0)
    const many = (count) => count.toLocaleString("en")
    find("#count").textContent = `${many(order.length)} of ${many(trades.data.net.length)} trades, ` +
        `net ${number(net, 2)}; rows ${many(Math.min(first + 1, last))} to ${many(last)}`
    find("[data-page='-1']").disabled = first === 0
    find("[data-page='1']").disabled = last === order.length
}

const select = (row) => { trades.selected.indices = [row] }

// A trade was selected, here or on the chart: both show it.
const selected = () => {
    const [row] = trades.selected.indices
    if (row === undefined) return
    const { data } = trades, { x_range } = chart(), entry = data.entry[row], exit = data.exit[row]
    if (entry < x_range.start || exit > x_range.end || exit - entry < (x_range.end - x_range.start) / 100) {
        const room = Math.max(20, exit - entry)
        show(entry - room, exit + room)
    }
    if (!order.includes(row)) {
        for (const field of form.elements) field.value = "" // not reset(), whose event comes later
        filter()
    }
    const page = Math.floor(order.indexOf(row) / ROWS) * ROWS
    const focused = document.activeElement?.closest("#trades tr")?.dataset.trade
    first = page
    fill()
    if (focused) (find(`#trades tr[data-trade="${row}"] button`) ?? body).focus({ preventScroll: true })
    const [entered, left, side, size, price, exit_price, , , net, net_pct, bars] =
        headings.map((heading) => text_of(row, heading))
    const units = `${size} unit${size === "1" ? "" : "s"}`
    find("#trade").textContent = `Trade ${(row + 1).toLocaleString("en")}: ${side} ${units}, entry ${entered} at ${price}, ` +
        `${left === "open" ? "open, last" : `exit ${left} at`} ${exit_price}, ${bars} bars, net ${net} (${net_pct} %)`
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches
    find("#bars").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "nearest" })
}

const next_trade = (way) => {
    if (!order.length) return
    const at = order.indexOf(trades.selected.indices[0])
    select(order[at < 0 ? 0 : Math.max(0, Math.min(order.length - 1, at + way))])
}

const show_trades = () => {
    trades = model("trades")
    if (!trades || !form) return
    trades.selected.properties.indices.change.connect(selected)
    form.addEventListener("input", filter)
    form.addEventListener("reset", () => setTimeout(filter))
    find("#trades").addEventListener("click", ({ target }) => {
        const heading = target.closest("th"), row = target.closest("tbody tr"), turn = target.closest("[data-page]")
        if (heading) {
            rising = heading.dataset.key === by ? !rising : false
            by = heading.dataset.key
            filter()
        }
        if (row) select(Number(row.dataset.trade))
        if (turn) {
            first += Number(turn.dataset.page) * ROWS
            fill()
        }
    })
    filter()
}
