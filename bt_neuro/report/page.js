const figures = [...document.querySelectorAll("script.figure")]
const pause = () => new Promise((resume) => requestAnimationFrame(() => setTimeout(resume)))
const draw = async (script) => {
    await Bokeh.embed.embed_item(JSON.parse(script.textContent), script.dataset.target)
    performance.mark(script.dataset.target)
}
;(async () => {
    await pause()
    for (const script of figures) {
        await draw(script)
        await pause()
    }
    document.documentElement.dataset.drawn = "all"
})()
