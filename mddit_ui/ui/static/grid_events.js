// Pointer, keys and buttons of the grid, and its life in the page.
const clamp = (value, most) => Math.max(0, Math.min(most, value));

function place(event) {
  const {layout, table} = state, frame = base.getBoundingClientRect();
  const x = event.clientX - frame.left, y = event.clientY - frame.top;
  const step = Math.floor((x - layout.left) / layout.cellW), site = table.sites - 1 - Math.floor((y - layout.top) / layout.cellH);
  const inX = step >= 0 && step < table.steps, inY = site >= 0 && site < table.sites;
  const zone = inX && inY ? "cell" : inX ? "step" : inY ? "block" : "none";
  return {zone, step: clamp(step, table.steps - 1), site: clamp(site, table.sites - 1)};
}

stage.addEventListener("pointerdown", (event) => {
  if (!state.table || !editable() || event.button !== 0) return;
  const at = place(event);
  if (at.zone === "none") return;
  event.preventDefault();
  stage.focus({preventScroll: true});
  stage.setPointerCapture(event.pointerId);
  state.keyboard = false; state.anchor = null; state.cursor = {step: at.step, site: at.site};
  begin();
  const kind = at.zone === "cell" ? (event.shiftKey || state.tool === "box" ? "box" : "brush") : at.zone;
  state.drag = {kind, start: at, last: at, box: null};
  extend(at);
});
function extend(at) {
  const {drag, table} = state;
  if (drag.kind === "brush") paintLine(drag.last, at);
  else {
    if (drag.kind === "step") drag.box = {...boxOf(drag.start, at), site0: 0, site1: table.sites - 1};
    else if (drag.kind === "block") drag.box = {...boxOf(drag.start, at), step0: 0, step1: table.steps - 1};
    else drag.box = boxOf(drag.start, at);
    table.cells.set(state.stroke);
    paintBox(drag.box);
    redraw();
  }
  drag.last = at;
}
stage.addEventListener("pointermove", (event) => {
  if (!state.table || !state.layout) return;
  const at = place(event);
  if (state.drag) extend(at);
  state.hover = at.zone === "cell" && event.pointerType !== "touch" ? at : null;
  stage.style.cursor = !editable() ? "default" : at.zone === "cell" ? "crosshair" : at.zone === "none" ? "default" : "pointer";
  showHint(); redrawOver();
});
function finish(keep) {
  if (!state.drag) return;
  state.drag = null;
  if (!keep) state.table.cells.set(state.stroke);
  commit();
}
stage.addEventListener("pointerup", () => finish(true));
stage.addEventListener("pointercancel", () => finish(false));
stage.addEventListener("pointerleave", () => { state.hover = null; showHint(); redrawOver(); });
stage.addEventListener("blur", () => { state.keyboard = false; showHint(); redrawOver(); });
stage.addEventListener("focus", () => { if (stage.matches(":focus-visible") && state.table) { state.keyboard = true; state.cursor = state.cursor || {step: 0, site: state.table.sites - 1}; showHint(); redrawOver(); } });

const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Home: [-1e6, 0], End: [1e6, 0], PageUp: [0, 1e6], PageDown: [0, -1e6]};
const BRUSHES = {"1": COMPUTE, "2": CACHE, "3": SKIP};

function move(event) {
  const [right, up] = MOVES[event.key], {table} = state;
  const from = state.cursor || {step: 0, site: table.sites - 1};
  if (event.shiftKey) state.anchor = state.anchor || from; else state.anchor = null;
  state.cursor = {step: clamp(from.step + right, table.steps - 1), site: clamp(from.site + up, table.sites - 1)};
  state.keyboard = true; state.hover = null;
  const box = state.anchor ? boxOf(state.anchor, state.cursor) : null;
  say((box ? "selected steps " + box.step0 + " to " + box.step1 + ", blocks " + box.site0 + " to " + box.site1 + "; " : "") + describeCell(state.cursor));
  showHint(); redrawOver();
}
function apply() {
  begin();
  paintBox(state.anchor ? boxOf(state.anchor, state.cursor) : boxOf(state.cursor, state.cursor));
  commit(); draw();
  if (!fact("live").textContent.includes("stay")) say(describeCell(state.cursor));
}
stage.addEventListener("keydown", (event) => {
  if (!state.table) return;
  const control = event.ctrlKey || event.metaKey, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (MOVES[key] && !control) move(event);
  else if (!editable()) return;
  else if (control && key === "z" && !event.shiftKey) travel(state.undo, state.redo);
  else if (control && (key === "y" || (key === "z" && event.shiftKey))) travel(state.redo, state.undo);
  else if (control && key === "a") { state.anchor = {step: 0, site: 0}; state.cursor = {step: state.table.steps - 1, site: state.table.sites - 1}; state.keyboard = true; redrawOver(); }
  else if (control || event.altKey) return;
  else if (key in BRUSHES) { state.brush = BRUSHES[key]; if (state.keyboard && state.cursor) apply(); refresh(); }
  else if ((key === " " || key === "Enter") && state.cursor) { state.keyboard = true; apply(); }
  else if (key === "b" || key === "r") { state.tool = key === "b" ? "brush" : "box"; refresh(); }
  else if (key === "Escape") { if (state.drag) finish(false); state.anchor = null; redrawOver(); }
  else return;
  event.preventDefault(); event.stopPropagation();
});

root.querySelectorAll("[data-brush]").forEach((button) => button.addEventListener("click", () => { state.brush = Number(button.dataset.brush); refresh(); }));
root.querySelectorAll("[data-tool]").forEach((button) => button.addEventListener("click", () => { state.tool = button.dataset.tool; refresh(); }));
root.querySelector('[data-do="undo"]').addEventListener("click", () => travel(state.undo, state.redo));
root.querySelector('[data-do="redo"]').addEventListener("click", () => travel(state.redo, state.undo));
root.querySelector("[data-view]").addEventListener("change", (event) => { state.view = event.target.value; redraw(); });

root.querySelector('[data-do="png"]').addEventListener("click", () => {
  const sheet = document.createElement("canvas"), margin = Math.round(base.width * 0.02);
  sheet.width = base.width + 2 * margin; sheet.height = base.height + 2 * margin;
  const context = sheet.getContext("2d");
  context.fillStyle = state.tokens.surface; context.fillRect(0, 0, sheet.width, sheet.height);
  context.drawImage(base, margin, margin);
  sheet.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob); link.download = "policy-grid.png"; link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
});

watch("value", adopt);
new ResizeObserver(redraw).observe(stage);
const themes = new MutationObserver(() => { if (!root.isConnected) { themes.disconnect(); return; } state.tokens = readTokens(root); redraw(); });
themes.observe(document.body, {attributes: true, attributeFilter: ["class"]});
adopt();
refreshLater();
function refreshLater() { setTimeout(() => { state.tokens = readTokens(root); if (state.table) refresh(); }, 60); }
