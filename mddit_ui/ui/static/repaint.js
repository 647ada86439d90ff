// A picture, and the part of it that is marked. Both are scaled down here, so that what is sent stays small.
const root = element.querySelector(".rp"), under = root.querySelector(".rp-under"), over = root.querySelector(".rp-over");
const file = root.querySelector(".rp-file"), size = root.querySelector(".rp-size"), live = root.querySelector(".rp-say");
const MOST_BYTES = 20e6, MOST_SIDE = 1024, SMALL = 320; // pixels a side; up to SMALL a picture is sent without loss
const EMPTY = "With a picture and a mark on it, Generate paints the marked part anew and leaves the rest as it is. The picture is cut to the model's shape.";
const mask = document.createElement("canvas");
let tool = "mark", last = null, cursor = null;
const say = (text) => { live.textContent = text; };

async function open(url) {
  const image = new Image();
  image.src = url;
  try { await image.decode(); } catch (error) { say("This file is no picture that the browser can read."); return; }
  const scale = Math.min(1, MOST_SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  for (const canvas of [under, over, mask]) { canvas.width = Math.max(1, Math.round(image.naturalWidth * scale)); canvas.height = Math.max(1, Math.round(image.naturalHeight * scale)); }
  const context = under.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, under.width, under.height);
  context.drawImage(image, 0, 0, under.width, under.height);
  root.dataset.state = "ready";
  send();
}
function remove() {
  root.dataset.state = "empty";
  cursor = null;
  props.value = null;
  say(EMPTY);
}
const radius = () => Number(size.value) / 200 * Math.min(mask.width, mask.height);
function stroke(from, to) {
  const context = mask.getContext("2d");
  context.globalCompositeOperation = tool === "mark" ? "source-over" : "destination-out";
  Object.assign(context, {lineWidth: 2 * radius(), lineCap: "round", strokeStyle: "#fff"});
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(to[0] + 0.01, to[1]);
  context.stroke();
  draw();
}
function draw() {
  const context = over.getContext("2d"), paint = (name) => getComputedStyle(root).getPropertyValue("--m-" + name).trim();
  context.globalCompositeOperation = "source-over";
  context.clearRect(0, 0, over.width, over.height);
  context.drawImage(mask, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.globalAlpha = 0.62;
  context.fillStyle = paint("compute");
  context.fillRect(0, 0, over.width, over.height);
  context.globalCompositeOperation = "source-over";
  context.globalAlpha = 1;
  if (!cursor) return;
  for (const [colour, width] of [["#fff", 3], ["#000", 1]]) {
    Object.assign(context, {strokeStyle: colour, lineWidth: width * over.width / 320});
    context.beginPath();
    context.arc(...cursor, radius(), 0, 2 * Math.PI);
    context.stroke();
  }
}
// White where to paint, black elsewhere.
function send() {
  const sent = document.createElement("canvas"), context = sent.getContext("2d", {willReadFrequently: true});
  Object.assign(sent, {width: mask.width, height: mask.height});
  context.fillRect(0, 0, sent.width, sent.height);
  context.drawImage(mask, 0, 0);
  const pixels = context.getImageData(0, 0, sent.width, sent.height).data;
  let marked = 0;
  for (let i = 0; i < pixels.length; i += 4) if (pixels[i] > 127) marked++;
  const small = Math.max(under.width, under.height) <= SMALL;
  props.value = {image: small ? under.toDataURL("image/png") : under.toDataURL("image/webp", 0.95), mask: sent.toDataURL("image/png")};
  const share = 100 * marked / (sent.width * sent.height);
  root.dataset.marked = share.toFixed(1);
  say(marked ? share.toFixed(share < 10 ? 1 : 0) + "% of the picture is marked: Generate paints it anew." : "Mark the part that is to be painted anew.");
  draw();
}
function place(event) {
  const frame = over.getBoundingClientRect();
  return [(event.clientX - frame.left) / frame.width * over.width, (event.clientY - frame.top) / frame.height * over.height];
}
over.addEventListener("pointerdown", (event) => { over.setPointerCapture(event.pointerId); last = cursor = place(event); stroke(last, last); });
over.addEventListener("pointermove", (event) => { const to = cursor = place(event); if (last) { stroke(last, to); last = to; } else draw(); });
over.addEventListener("pointerup", () => { if (last) { last = null; send(); } });
over.addEventListener("pointercancel", () => { if (last) { last = null; send(); } });
over.addEventListener("pointerleave", () => { if (!last) { cursor = null; draw(); } });
over.addEventListener("keydown", (event) => {
  const [x, y] = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] || [0, 0];
  if (!x && !y && event.key !== " ") return;
  event.preventDefault();
  const [cx, cy] = cursor || [over.width / 2, over.height / 2], by = radius();
  cursor = [Math.max(0, Math.min(over.width, cx + x * by)), Math.max(0, Math.min(over.height, cy + y * by))];
  if (event.key === " ") { stroke(cursor, cursor); send(); return; }
  draw();
  say("Brush at " + Math.round(100 * cursor[0] / over.width) + "% from the left, " + Math.round(100 * cursor[1] / over.height) + "% from the top.");
});
over.addEventListener("blur", () => { cursor = null; draw(); });
size.addEventListener("input", draw);
file.addEventListener("change", async () => {
  const [chosen] = file.files;
  file.value = "";
  if (!chosen) return;
  if (chosen.size > MOST_BYTES) { say("This file has more than 20 MB; choose a smaller one."); return; }
  const url = URL.createObjectURL(chosen);
  await open(url);
  URL.revokeObjectURL(url);
});
const commands = {
  open: () => file.click(),
  last: () => {
    const image = [...document.querySelectorAll("#pair .pv-one img[src]")].find((each) => each.src.startsWith("data:image/"));
    if (image) open(image.src); else say("There is no picture yet: press Generate first, or open a file.");
  },
  clear: () => { mask.getContext("2d").clearRect(0, 0, mask.width, mask.height); send(); },
  remove,
};
root.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", () => commands[button.dataset.do]()));
const tools = [...root.querySelectorAll("[data-tool]")];
function choose(button) {
  tool = button.dataset.tool;
  tools.forEach((each) => each.setAttribute("aria-checked", String(each === button)));
}
tools.forEach((button, index) => {
  button.addEventListener("click", () => choose(button));
  button.addEventListener("keydown", (event) => {
    if (!["ArrowRight", "ArrowLeft"].includes(event.key)) return;
    event.preventDefault();
    const next = tools[1 - index];
    next.focus(); choose(next);
  });
});
say(EMPTY);
