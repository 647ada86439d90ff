// Pairs of pictures of one seed each, compared in four ways, with their numbers below. All text is set as text, never as HTML.
const view = element.querySelector(".pv"), box = view.querySelector(".pv-frames");
const calmly = window.matchMedia("(prefers-reduced-motion: reduce)");
let mode = "slide", blinker = null, blinkRight = true, frames = [];

function cell(tag, text, className) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (className) node.className = className;
  return node;
}
function makeFrame(index) {
  const item = cell("div", "", "pv-item"), frame = cell("div", "", "pv-frame"), sides = {};
  for (const [side, name] of [["left", "full"], ["right", "policy"]]) {
    const figure = cell("figure", "", "pv-one pv-" + name), image = document.createElement("img"), caption = cell("figcaption");
    image.draggable = false;
    figure.append(image, caption); frame.append(figure);
    sides[side] = {image, caption};
  }
  const canvas = cell("canvas", "", "pv-diff"), line = cell("i", "", "pv-line"), range = document.createElement("input");
  canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", "Difference of the two pictures");
  line.setAttribute("aria-hidden", "true"); line.append(cell("b"));
  Object.assign(range, {type: "range", className: "pv-range", min: 0, max: 100, value: 50, step: 0.5});
  range.setAttribute("aria-label", "Divider of pair " + (index + 1) + ": left picture to its left, policy to its right");
  range.addEventListener("input", () => { view.style.setProperty("--cut", range.value + "%"); frames.forEach((other) => { other.range.value = range.value; }); });
  frame.append(canvas, line, range);
  const note = cell("p", "", "pv-caption");
  item.append(frame, note);
  return {item, sides, canvas, range, note};
}
function setMode(next) {
  mode = next;
  view.dataset.mode = mode;
  view.querySelectorAll(".pv-modes button").forEach((b) => b.setAttribute("aria-checked", String(b.dataset.mode === mode)));
  clearInterval(blinker);
  view.classList.remove("pv-show-left");
  if (mode === "blink") blinker = setInterval(() => {
    if (!view.isConnected) return clearInterval(blinker);
    blinkRight = !blinkRight; view.classList.toggle("pv-show-left", !blinkRight);
  }, calmly.matches ? 2000 : 700);
  if (mode === "diff") frames.forEach(drawDifference);
}
async function drawDifference({sides, canvas}) {
  const {left: {image: left}, right: {image: right}} = sides;
  if (!left.src || !right.src) return;
  try { await Promise.all([left.decode(), right.decode()]); } catch (error) { return; }
  const w = left.naturalWidth, h = left.naturalHeight;
  canvas.width = w; canvas.height = h;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(left, 0, 0, w, h);
  const a = context.getImageData(0, 0, w, h);
  context.drawImage(right, 0, 0, w, h);
  const b = context.getImageData(0, 0, w, h);
  for (let i = 0; i < a.data.length; i++) if (i % 4 !== 3) b.data[i] = Math.min(255, 4 * Math.abs(a.data[i] - b.data[i]));
  context.putImageData(b, 0, 0);
}
function show() {
  const value = props.value || {}, left = value.left || [], right = value.right || [], names = value.names || ["", ""];
  const count = Math.max(left.length, right.length), captions = value.captions || [];
  while (frames.length > count) frames.pop().item.remove();
  while (frames.length < count) { const made = makeFrame(frames.length); frames.push(made); box.append(made.item); }
  frames.forEach(({sides, note, item}, index) => {
    for (const [side, urls, name] of [["left", left, names[0]], ["right", right, names[1]]]) {
      const {image, caption} = sides[side];
      if (urls[index]) { if (image.src !== urls[index]) image.src = urls[index]; } else image.removeAttribute("src");
      image.alt = name + (captions[index] ? ", " + captions[index] : "");
      caption.textContent = name;
    }
    item.classList.toggle("pv-has-left", Boolean(left[index]));
    item.classList.toggle("pv-has-right", Boolean(right[index]));
    item.classList.toggle("pv-alone", !value.busy && !left[index]);
    note.textContent = count > 1 ? captions[index] || "" : "";
  });
  view.dataset.count = String(count);
  view.dataset.state = value.busy ? "busy" : left.length && right.length ? "done" : "empty";
  view.style.setProperty("--ratio", String(value.ratio || 1));
  view.querySelector(".pv-empty").textContent = count ? "" : value.busy ? "The first step is on its way." : value.empty || "";
  const share = Math.round(100 * (value.share || 0)), busy = view.querySelector(".pv-busy");
  busy.firstElementChild.style.width = share + "%";
  busy.setAttribute("aria-valuenow", String(share));
  view.querySelector(".pv-status").textContent = value.busy || value.note || "";
  const table = view.querySelector(".pv-table"), heads = table.querySelectorAll("thead th");
  heads[1].textContent = names[0]; heads[2].textContent = names[1];
  table.querySelector("tbody").replaceChildren(...(value.rows || []).map(([name, before, after, change, tone]) => {
    const row = document.createElement("tr"), head = cell("th", name);
    head.scope = "row";
    row.append(head, cell("td", before), cell("td", after), cell("td", change, tone ? "pv-" + tone : ""));
    return row;
  }));
  table.style.display = (value.rows || []).length ? "" : "none";
  view.querySelector(".pv-facts").replaceChildren(...(value.facts || []).map(([name, text]) => {
    const item = document.createElement("div");
    item.append(cell("dt", name), cell("dd", text));
    return item;
  }));
  if (mode === "diff") frames.forEach(drawDifference);
}
view.querySelectorAll(".pv-modes button").forEach((button, index, all) => {
  button.addEventListener("click", () => setMode(button.dataset.mode));
  button.addEventListener("keydown", (event) => {
    const turn = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!turn) return;
    event.preventDefault();
    const next = all[(index + turn + all.length) % all.length];
    next.focus(); setMode(next.dataset.mode);
  });
});
watch("value", show);
show();
