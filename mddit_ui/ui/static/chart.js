// One Plotly chart that keeps its zoom through updates and follows the light or dark mode of the page.
const plot = element.querySelector(".pc-plot"), empty = element.querySelector(".pc-empty"), read = element.querySelector(".pc-read");
let listening = false;
function show() {
  const value = props.value || {}, figure = document.body.classList.contains("dark") ? value.dark : value.light;
  empty.textContent = figure ? "" : value.empty || "";
  read.textContent = figure ? value.read || "" : "";
  plot.style.display = figure ? "" : "none";
  if (!figure || !window.Plotly) return;
  window.Plotly.react(plot, figure.data, figure.layout, {responsive: true, displayModeBar: false, scrollZoom: false});
  if (!listening) {
    listening = true;
    plot.on("plotly_click", (event) => {
      const key = event.points[0] && event.points[0].customdata;
      if (typeof key === "string" && key) trigger("select", {key});
    });
  }
}
watch("value", show);
const modes = new MutationObserver(() => { if (!element.isConnected) { modes.disconnect(); return; } show(); });
modes.observe(document.body, {attributes: true, attributeFilter: ["class"]});
setTimeout(show, 0);
