// Two pictures of one seed, compared in four ways, with their numbers below. All text is set as text, never as HTML.
const view = element.querySelector(".pv"), frame = view.querySelector(".pv-frame"), range = view.querySelector(".pv-range");
const images = {left: view.querySelector(".pv-full img"), right: view.querySelector(".pv-policy img")};
const calmly = window.matchMedia("(prefers-reduced-motion: reduce)");
let mode = "slide", blinker = null, blinkRight = true;

function cell(tag, text, className) {
  const node = document.createElement(tag);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}
function setMode(next) {
  mode = next;
  view.dataset.mode = mode;
  view.querySelectorAll("[data-mode]").forEach((b) => { if (b.tagName === "BUTTON") b.setAttribute("aria-checked", String(b.dataset.mode === mode)); });
  clearInterval(blinker);
  view.classList.remove("pv-show-left");
  if (mode === "blink") blinker = setInterval(() => {
    if (!view.isConnected) return clearInterval(blinker);
    blinkRight = !blinkRight; view.classList.toggle("pv-show-left", !blinkRight);
  }, calmly.matches ? 2000 : 700);
  if (mode === "diff") drawDifference();
}
async function drawDifference() {
  const canvas = view.querySelector(".pv-diff");
  if (!images.left.src || !images.right.src) return;
  try { await Promise.all([images.left.decode(), images.right.decode()]); } catch (error) { return; }
  const w = images.left.naturalWidth, h = images.left.naturalHeight;
  canvas.width = w; canvas.height = h;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(images.left, 0, 0, w, h);
  const a = context.getImageData(0, 0, w, h);
  context.drawImage(images.right, 0, 0, w, h);
  const b = context.getImageData(0, 0, w, h);
  for (let i = 0; i < a.data.length; i++) if (i % 4 !== 3) b.data[i] = Math.min(255, 4 * Math.abs(a.data[i] - b.data[i]));
  context.putImageData(b, 0, 0);
}
function moveDivider() { frame.style.setProperty("--cut", range.value + "%"); }

function show() {
  const value = props.value || {};
  for (const side of ["left", "right"]) {
    if (value[side]) { if (images[side].src !== value[side]) images[side].src = value[side]; } else images[side].removeAttribute("src");
  }
  view.dataset.state = value.busy ? "busy" : value.left && value.right ? "done" : "empty";
  view.classList.toggle("pv-has-left", Boolean(value.left));
  view.classList.toggle("pv-has-right", Boolean(value.right));
  frame.style.setProperty("--ratio", String(value.ratio || 1));
  view.querySelector(".pv-empty").textContent = value.left || value.right ? "" : value.empty || "";
  const share = Math.round(100 * (value.share || 0)), busy = view.querySelector(".pv-busy");
  busy.firstElementChild.style.width = share + "%";
  busy.setAttribute("aria-valuenow", String(share));
  view.querySelector(".pv-status").textContent = value.busy || value.note || "";
  const body = view.querySelector(".pv-table tbody");
  body.replaceChildren(...(value.rows || []).map(([name, left, right, change, tone]) => {
    const row = document.createElement("tr"), head = cell("th", name);
    head.scope = "row";
    row.append(head, cell("td", left), cell("td", right), cell("td", change, tone ? "pv-" + tone : ""));
    return row;
  }));
  view.querySelector(".pv-table").style.display = (value.rows || []).length ? "" : "none";
  view.querySelector(".pv-facts").replaceChildren(...(value.facts || []).map(([name, text]) => {
    const item = document.createElement("div");
    item.append(cell("dt", name), cell("dd", text));
    return item;
  }));
  if (mode === "diff") drawDifference();
}
range.addEventListener("input", moveDivider);
view.querySelectorAll(".pv-modes button").forEach((button) => button.addEventListener("click", () => setMode(button.dataset.mode)));
watch("value", show);
moveDivider();
show();
