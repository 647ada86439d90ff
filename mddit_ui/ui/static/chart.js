// One Plotly chart: keeps its zoom through updates, follows light and dark, is saved as picture or table, and tells clicks.
const panel = element.querySelector(".pc"), plot = element.querySelector(".pc-plot"), empty = element.querySelector(".pc-empty"), read = element.querySelector(".pc-read");
let listening = false, drawn = null, near = false;

// plotly.js is large: it is loaded when a chart comes near the screen, or when the page has long been at rest.
new IntersectionObserver((entries, observer) => { if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); comeNear(); } }, {rootMargin: "200px"}).observe(panel);
setTimeout(() => window.requestIdleCallback ? requestIdleCallback(comeNear) : comeNear(), 4000);
function comeNear() { if (!near) { near = true; show(); } }
function loadPlotly() {
  if (document.querySelector("script[data-plotly]")) return;
  const script = document.createElement("script");
  script.src = PLOTLY_SOURCE; script.dataset.plotly = "";
  document.head.append(script);
}

function show() {
  const value = props.value || {}, figure = document.body.classList.contains("dark") ? value.dark : value.light;
  empty.textContent = figure ? "" : value.empty || "";
  read.textContent = figure ? value.read || "" : "";
  plot.style.display = figure ? "" : "none";
  panel.classList.toggle("pc-drawn", Boolean(figure));
  drawn = figure;
  if (!figure) return;
  if (!near) return;
  if (!window.Plotly) { loadPlotly(); setTimeout(show, 200); return; }
  window.Plotly.react(plot, figure.data, figure.layout, {responsive: true, displayModeBar: false, scrollZoom: false});
  panel.classList.toggle("pc-clicks", figure.data.some((trace) => [trace.customdata].flat(2).some((key) => typeof key === "string" && key)));
  if (!listening) {
    listening = true;
    plot.on("plotly_click", (event) => {
      const key = event.points[0] && event.points[0].customdata;
      if (typeof key !== "string" || !key) return;
      if (key.startsWith("cell:")) showCell(...key.slice(5).split(":").map(Number)); else trigger("select", {key});
    });
  }
}
// A cell of a chart is a cell of the grid: bring the grid into view and point at it, as a mouse would.
function showCell(step, site) {
  const grid = document.querySelector("#editor .pg"), stage = document.querySelector("#editor .pg-stage"), base = document.querySelector("#editor .pg-base");
  if (!grid || !stage || !base) return;
  const [left, top, width, height] = (grid.dataset.frame || "").split(" ").map(Number), rows = (grid.dataset.rows || "").split("/");
  const sites = rows[0].length;
  if (!height || step >= rows.length || site >= sites) return;
  stage.scrollIntoView({block: "center", behavior: window.matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"});
  setTimeout(() => {
    const frame = base.getBoundingClientRect();
    stage.dispatchEvent(new PointerEvent("pointermove", {clientX: frame.left + left + (step + 0.5) * width, clientY: frame.top + top + (sites - site - 0.5) * height, pointerType: "mouse", bubbles: true}));
  }, 450);
}
function csv() {
  const quote = (value) => { const text = value === null || value === undefined ? "" : String(value); return /[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text; };
  const lines = [["series", "x", "y", "value", "label"]];
  for (const trace of drawn.data) {
    const text = trace.text || [];
    if (trace.z) trace.z.forEach((row, i) => row.forEach((value, j) => lines.push([trace.name, trace.x ? trace.x[j] : j, trace.y ? trace.y[i] : i, value, (text[i] || [])[j]])));
    else (trace.x || []).forEach((x, i) => lines.push([trace.name, x, (trace.y || [])[i], "", Array.isArray(text) ? text[i] : ""]));
  }
  return lines.map((line) => line.map(quote).join(",")).join("\n") + "\n";
}
async function save(kind) {
  if (!drawn || !window.Plotly) return;
  const name = (element.id || "chart").replace("chart-", "mddit-"), link = document.createElement("a");
  const paper = getComputedStyle(panel).getPropertyValue("--m-surface").trim() || "#ffffff";
  if (kind === "csv") link.href = URL.createObjectURL(new Blob([csv()], {type: "text/csv"}));
  else link.href = await window.Plotly.toImage({data: drawn.data, layout: {...drawn.layout, paper_bgcolor: paper}}, {format: kind, width: plot.clientWidth, height: plot.clientHeight, scale: kind === "png" ? 2 : 1});
  link.download = name + "." + kind;
  link.click();
  if (kind === "csv") setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
element.querySelectorAll("[data-save]").forEach((button) => button.addEventListener("click", () => save(button.dataset.save)));
watch("value", show);
const modes = new MutationObserver(() => { if (!element.isConnected) { modes.disconnect(); return; } show(); });
modes.observe(document.body, {attributes: true, attributeFilter: ["class"]});
setTimeout(show, 0);
// A hidden tab has no width: when a chart is shown again, or its panel changes, it takes the width that there is.
let lastWidth = 0;
new ResizeObserver(() => {
  const width = panel.clientWidth;
  if (!width || width === lastWidth) return;
  lastWidth = width;
  if (drawn && listening && window.Plotly) window.Plotly.Plots.resize(plot);
}).observe(panel);
