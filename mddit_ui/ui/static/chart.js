// One Plotly chart: keeps its zoom through updates, follows light and dark, is saved as picture or table, and tells clicks.
const panel = element.querySelector(".pc"), plot = element.querySelector(".pc-plot"), empty = element.querySelector(".pc-empty"), read = element.querySelector(".pc-read");
let listening = false, drawn = null, stale = true, near = false, rested = false, waiting = 0;

// Drawing a chart takes longer than a frame, so it waits until the page has nothing else to do: half a second at most where
// the chart is in sight, as long as need be where it isn't. plotly.js is large: charts that were never in sight want it last.
const whenIdle = window.requestIdleCallback || ((act) => setTimeout(act, 50)), notIdle = window.cancelIdleCallback || clearTimeout;
function showSoon() { notIdle(waiting); waiting = whenIdle(show, near ? {timeout: 500} : {}); }
function changed() { stale = true; showSoon(); }
const sight = new IntersectionObserver((entries) => {
  if (!element.isConnected) return sight.disconnect();
  near = entries.at(-1).isIntersecting;
  if (near && stale) showSoon();
}, {rootMargin: "200px"});
sight.observe(panel);
setTimeout(() => { rested = true; if (stale) showSoon(); }, 4000);
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
  if (!near && !(rested && panel.clientWidth)) return; // in a tab that is closed it is drawn when it is opened
  if (!window.Plotly) { loadPlotly(); setTimeout(showSoon, 200); return; }
  draw();
  stale = false;
  if (cell) outline();
  panel.classList.toggle("pc-clicks", figure.data.some((trace) => [trace.customdata].flat(2).some((key) => typeof key === "string" && key)));
  if (!listening) {
    listening = true;
    plot.on("plotly_click", (event) => {
      const key = event.points[0] && event.points[0].customdata;
      if (typeof key !== "string" || !key) return;
      take(key);
    });
    plot.on("plotly_hover", (event) => showPicture(event.points[0]));
    plot.on("plotly_unhover", hidePicture);
  }
  listPoints();
}

// Frames, if a figure has them, are gone through by a slider and a button of the page: those of plotly.js know no keys.
const player = element.querySelector(".pc-play"), [playing, slider, said] = player.children;
let clock = null;
const frameNow = () => (drawn.frames || [])[Number(slider.value)];
function shownData(frame) {
  return frame ? drawn.data.map((trace, index) => ({...trace, ...(frame.data[index] || {})})) : drawn.data;
}
function draw() {
  const frames = drawn.frames || [], at = Math.min(Number(slider.value), Math.max(frames.length - 1, 0));
  player.hidden = !frames.length;
  slider.max = Math.max(frames.length - 1, 0);
  slider.value = at;
  if (frames.length) { said.textContent = frames[at].name + " of " + frames.length; slider.setAttribute("aria-label", "Frame"); slider.setAttribute("aria-valuetext", frames[at].name); } else stopPlaying();
  withoutBase(() => window.Plotly.react(plot, shownData(frames[at]), {...drawn.layout}, {responsive: true, displayModeBar: false, scrollZoom: false}));
}
// On a page with a base, plotly.js writes the page's whole address before the names of gradients and clips; they are lost when the address changes.
function withoutBase(act) {
  const base = document.querySelector("base[href]"), href = base && base.getAttribute("href");
  if (base) base.removeAttribute("href");
  try { act(); } finally { if (base) base.setAttribute("href", href); }
}
function stopPlaying() { clearInterval(clock); clock = null; playing.textContent = "Play"; }
slider.addEventListener("input", () => { stopPlaying(); draw(); });
playing.addEventListener("click", () => {
  if (clock) return stopPlaying();
  if (Number(slider.value) === Number(slider.max)) slider.value = 0;
  draw();
  playing.textContent = "Pause";
  clock = setInterval(() => {
    if (!element.isConnected || Number(slider.value) === Number(slider.max)) return stopPlaying();
    slider.value = Number(slider.value) + 1;
    draw();
  }, 300);
});

// A point with a key may have a picture; the server is asked once for each that it has.
const tip = element.querySelector(".pc-tip"), live = element.querySelector(".pc-live"), pictures = new Map();
let pointed = "";
async function pictureOf(key) {
  const {scope} = props.value || {}, name = scope + "/" + key;
  if (!scope || !server || !server.picture) return "";
  if (!pictures.has(name)) {
    const found = await server.picture({scope, key});
    if (!found) return "";
    pictures.set(name, found.url);
  }
  return pictures.get(name);
}
async function showPicture(point) {
  const key = point && point.customdata, box = point && point.bbox;
  pointed = typeof key === "string" ? key : "";
  tip.hidden = true;
  if (!pointed || !box) return;
  const url = await pictureOf(key);
  if (!url || pointed !== key) return;
  const image = tip.querySelector("img");
  image.src = url;
  try { await image.decode(); } catch (error) { return; }
  if (pointed !== key) return;
  tip.hidden = false; // above the point, or below it where there is no room
  const x = (box.x0 + box.x1) / 2 - tip.offsetWidth / 2, above = box.y0 - tip.offsetHeight - 12;
  tip.style.left = Math.max(0, Math.min(panel.clientWidth - tip.offsetWidth, x)) + "px";
  tip.style.top = (above < 0 ? box.y1 + 12 : above) + "px";
}
function hidePicture() { pointed = ""; tip.hidden = true; }

// The keyboard goes from point to point as they lie along x, and takes one; in a heat map it goes from cell to cell.
let points = [], at = -1, map = null, cell = null;
function listPoints() {
  const found = new Map(), number = drawn.data.findIndex((trace) => Array.isArray(trace.z));
  drawn.data.forEach(({x, y, text, customdata}, curveNumber) => (Array.isArray(customdata) ? customdata : []).forEach((key, pointNumber) => {
    if (typeof key === "string" && key) found.set(key, {key, curveNumber, pointNumber, x: x[pointNumber], y: y[pointNumber], text: (text || [])[pointNumber] || ""});
  }));
  points = [...found.values()].sort((a, b) => a.x - b.x || a.y - b.y);
  map = points.length || number < 0 ? null : {...drawn.data[number], number};
  if (!points.length && !map) { for (const name of ["tabindex", "role", "aria-label"]) plot.removeAttribute(name); return; }
  const words = points.length ? "point to point, Return takes one" : "cell to cell" + (map.customdata ? ", Return shows it in the grid" : "");
  plot.tabIndex = 0; plot.setAttribute("role", "application"); plot.setAttribute("aria-label", "Chart: arrow keys go from " + words);
}
function pointAt(curveNumber, pointNumber, words) {
  window.Plotly.Fx.hover(plot, [{curveNumber, pointNumber}]);
  live.textContent = words.filter(Boolean).join(", ");
}
function go(to) {
  at = Math.max(0, Math.min(points.length - 1, to));
  const {curveNumber, pointNumber, text, x, y} = points[at];
  pointAt(curveNumber, pointNumber, [text, x.toFixed(1), y.toFixed(2)]);
}
// Rows of a heat map go up, unless its axis is turned round.
function goCell(right, up, ends) {
  const rows = map.z.length, columns = map.z[0].length, range = (drawn.layout.yaxis || {}).range, turned = range && range[0] > range[1];
  const clamped = (value, most) => Math.max(0, Math.min(most - 1, value));
  const [row, column] = cell || [turned ? 0 : rows - 1, 0];
  cell = cell || ends ? [clamped(row + (turned ? -up : up), rows), clamped(column + right, columns)] : [row, column];
  const [i, j] = cell, value = shownData(frameNow())[map.number].z[i][j], title = ((map.colorbar || {}).title || {}).text || "";
  const words = map.text ? map.text[i][j] : [map.x && map.x[j], map.y && map.y[i]].join(", ");
  outline();
  pointAt(map.number, cell, [words, typeof value === "number" ? title + " " + Number(value.toPrecision(4)) : "nothing"]);
}
// The cursor of the keyboard: a line round its cell, in the ink and in the paper of the page, so that it is seen on any shade.
function outline() {
  const own = drawn.layout.shapes || [], ink = (name) => getComputedStyle(panel).getPropertyValue(name).trim();
  const edges = (values, at) => { // of a cell, halfway to its neighbours; names of an axis are counted
    if (!values || typeof values[at] !== "number") return [at - 0.5, at + 0.5];
    const wide = values.length > 1 ? (values[Math.min(at + 1, values.length - 1)] - values[Math.max(at - 1, 0)]) / (at > 0 && at < values.length - 1 ? 2 : 1) : 1;
    return [values[at] - wide / 2, values[at] + wide / 2];
  };
  const [x0, x1] = cell ? edges(map.x, cell[1]) : [], [y0, y1] = cell ? edges(map.y, cell[0]) : [];
  const line = (width, color) => ({type: "rect", xref: map.xaxis || "x", yref: map.yaxis || "y", x0, x1, y0, y1, line: {width, color}, layer: "above"});
  window.Plotly.relayout(plot, {shapes: cell ? [...own, line(5, ink("--m-surface")), line(2, ink("--m-ink"))] : own});
}
plot.addEventListener("keydown", (event) => {
  const [right, up] = {ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowLeft: [-1, 0], ArrowDown: [0, -1], Home: [-1e9, 0], End: [1e9, 0]}[event.key] || [0, 0];
  const key = points.length ? (points[at] || {}).key : cell && map && map.customdata && map.customdata[cell[0]][cell[1]];
  if ((!points.length && !map) || !window.Plotly || event.target !== plot) return;
  if (right || up) points.length ? go(at + right + up) : goCell(right, up, Math.abs(right) > 1);
  else if ((event.key === "Enter" || event.key === " ") && key) take(key);
  else return;
  event.preventDefault();
});
plot.addEventListener("blur", () => { const marked = cell; at = -1; cell = null; hidePicture(); if (marked && drawn) outline(); if (window.Plotly && listening) window.Plotly.Fx.unhover(plot); });
function take(key) { if (key.startsWith("cell:")) showCell(...key.slice(5).split(":").map(Number)); else trigger("select", {key}); }
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
  const pages = (drawn.frames || []).length ? drawn.frames : [null];
  for (const [frame, trace] of pages.flatMap((frame) => shownData(frame).map((trace) => [frame, trace]))) {
    const text = trace.text || [], series = [trace.name, frame && frame.name].filter(Boolean).join(" ");
    if (trace.z) trace.z.forEach((row, i) => row.forEach((value, j) => lines.push([series, trace.x ? trace.x[j] : j, trace.y ? trace.y[i] : i, value, (text[i] || [])[j]])));
    else (trace.x || []).forEach((x, i) => lines.push([series, x, (trace.y || [])[i], "", Array.isArray(text) ? text[i] : ""]));
  }
  return lines.map((line) => line.map(quote).join(",")).join("\n") + "\n";
}
async function save(kind) {
  if (!drawn || !window.Plotly) return;
  const name = (element.closest("[id^=chart-]") || {id: "chart-chart"}).id.replace("chart-", "mddit-"), link = document.createElement("a");
  const paper = getComputedStyle(panel).getPropertyValue("--m-surface").trim() || "#ffffff";
  if (kind === "csv") link.href = URL.createObjectURL(new Blob([csv()], {type: "text/csv"}));
  else link.href = await window.Plotly.toImage({data: shownData(frameNow()), layout: {...drawn.layout, paper_bgcolor: paper}}, {format: kind, width: plot.clientWidth, height: plot.clientHeight, scale: kind === "png" ? 2 : 1});
  link.download = name + "." + kind;
  link.click();
  if (kind === "csv") setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
element.querySelectorAll("[data-save]").forEach((button) => button.addEventListener("click", () => save(button.dataset.save)));
watch("value", changed);
const modes = new MutationObserver(() => { if (!element.isConnected) { modes.disconnect(); return; } changed(); });
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
