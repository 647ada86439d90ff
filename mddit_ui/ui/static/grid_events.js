// Pointer and keys of the grid, the acts of its commands, and its life in the page.
const clamp = (value, most) => Math.max(0, Math.min(most, value));
const inBox = ({step0, step1, site0, site1}, {step, site}) => step >= step0 && step <= step1 && site >= site0 && site <= site1;

function place(event) {
  const {layout, table} = state, frame = base.getBoundingClientRect();
  const x = event.clientX - frame.left, y = event.clientY - frame.top;
  const step = Math.floor((x - layout.left) / layout.cellW), site = table.sites - 1 - Math.floor((y - layout.top) / layout.cellH);
  const inX = step >= 0 && step < table.steps, inY = site >= 0 && site < table.sites;
  const zone = inX && inY ? "cell" : inX ? "step" : inY ? "block" : "none";
  return {zone, step: clamp(step, table.steps - 1), site: clamp(site, table.sites - 1)};
}

// One stroke of each shape over a table, from where the pointer went down to where it is.
const STROKES = {
  brush: (table, {last, at, paint}) => paintLine(table, last, at, paint),
  box: (table, {start, at, paint}) => paintBox(table, boxOf(start, at), paint),
  step: (table, {start, at, paint}) => paintBox(table, {...boxOf(start, at), site0: 0, site1: table.sites - 1}, paint),
  block: (table, {start, at, paint}) => paintBox(table, {...boxOf(start, at), step0: 0, step1: table.steps - 1}, paint),
  flood: (table, {at, paint}) => flood(table, at, paint),
};
// A stroke of locks that starts on a locked cell unlocks.
const paintAt = ({step, site}) => state.paint === LOCK && state.table.locks[step * state.table.sites + site] ? FREE : state.paint;

function extend(at) {
  const {drag, table, before} = state;
  if (drag.kind === "select") drag.box = boxOf(drag.start, at);
  else if (drag.kind === "move") { restore(table, before); drag.box = shiftSteps(table, drag.from, at.step - drag.start.step); redraw(); }
  else {
    if (drag.kind !== "brush") restore(table, before);
    STROKES[drag.kind](table, {...drag, at});
    if (["box", "step", "block"].includes(drag.kind)) drag.box = boxOf(drag.start, at);
    redraw();
  }
  drag.last = at;
}
function finish(keep) {
  const {drag} = state;
  if (!drag) return;
  state.drag = null;
  if (!keep) restore(state.table, state.before);
  else if (drag.kind === "select") state.box = drag.box;
  else if (drag.kind === "move" && drag.box) state.box = drag.box;
  if (keep && drag.kind === "select" && state.box) say("selected " + boxText(state.box).toLowerCase());
  commit();
}
stage.addEventListener("pointerdown", (event) => {
  if (!state.table || !state.layout || !editable() || event.button !== 0 || state.drag) return;
  const at = place(event);
  if (at.zone === "none") return;
  event.preventDefault();
  stage.focus({preventScroll: true});
  stage.setPointerCapture(event.pointerId);
  Object.assign(state, {keyboard: false, anchor: null, cursor: {step: at.step, site: at.site}});
  begin();
  const moves = state.shape === "select" && state.box && at.zone === "cell" && inBox(state.box, at);
  const kind = moves ? "move" : at.zone !== "cell" ? at.zone : state.shape === "select" ? "select" : event.shiftKey ? "box" : state.shape;
  if (kind === "select") state.box = null;
  state.drag = {kind, start: at, last: at, box: null, from: state.box, paint: paintAt(at)};
  extend(at);
  paintOver();
});
stage.addEventListener("pointermove", (event) => {
  if (!state.table || !state.layout) return;
  const at = place(event);
  if (state.drag) extend(at);
  state.hover = at.zone === "cell" && (event.pointerType !== "touch" || state.drag) ? at : null;
  const moves = state.shape === "select" && state.box && at.zone === "cell" && inBox(state.box, at);
  stage.style.cursor = !editable() || at.zone === "none" ? "default" : moves ? "ew-resize" : at.zone === "cell" ? "crosshair" : "pointer";
  showPlace(); paintOver();
});
stage.addEventListener("pointerup", () => finish(true));
stage.addEventListener("pointercancel", () => finish(false));
stage.addEventListener("pointerleave", () => { state.hover = null; showPlace(); paintOver(); });
stage.addEventListener("blur", () => { state.keyboard = false; showPlace(); paintOver(); });
stage.addEventListener("focus", () => {
  if (!stage.matches(":focus-visible") || !state.table) return;
  state.keyboard = true; state.cursor = state.cursor || {step: 0, site: state.table.sites - 1};
  refreshButtons(); showPlace(); paintOver(); say(describeCell(state.cursor));
});

const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Home: [-1e6, 0], End: [1e6, 0], PageUp: [0, 1e6], PageDown: [0, -1e6]};
function move(event) {
  const [right, up] = MOVES[event.key], {table} = state, from = state.cursor || {step: 0, site: table.sites - 1};
  state.anchor = event.shiftKey ? state.anchor || from : null;
  Object.assign(state, {cursor: {step: clamp(from.step + right, table.steps - 1), site: clamp(from.site + up, table.sites - 1)}, keyboard: true, hover: null});
  if (state.anchor) state.box = boxOf(state.anchor, state.cursor);
  say((state.anchor ? "selected " + boxText(state.box).toLowerCase() + "; " : "") + describeCell(state.cursor));
  refreshButtons(); showPlace(); paintOver();
}
stage.addEventListener("keydown", (event) => {
  if (!state.table) return;
  if (MOVES[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) move(event);
  else {
    const name = BY_KEY[chordOf(event)];
    if (!name || !can(name)) return;
    if (!["png", "help", "deselect", "undo", "redo"].includes(name) && state.cursor) state.keyboard = true;
    run(name, event);
  }
  event.preventDefault(); event.stopPropagation();
});
root.addEventListener("keydown", (event) => { if (event.key === "Escape" && COMMANDS.help.on()) { run("help", event); root.querySelector('[data-do="help"]').focus(); } });
root.addEventListener("click", (event) => { const button = event.target.closest("[data-do]"); if (button) run(button.dataset.do, event); });
root.querySelector(".pg-ratio").addEventListener("change", (event) => chooseShare(Number(event.target.value), event));
root.querySelector(".pg-n").addEventListener("keydown", (event) => { if (event.key === "Enter") run("every", event); });

// Choosing what to paint paints the selection at once; with the keyboard, also the cell of the cursor.
function choosePaint(paint, event) {
  state.paint = paint;
  if (state.box || (event && event.type === "keydown" && state.keyboard && state.cursor)) applyPaint("brush");
  refresh();
}
// A share of tokens is chosen for what is painted next, and for the computed cells that are selected or under the cursor.
function chooseShare(share, event) {
  state.ratio = share; state.paint = COMPUTE;
  say("computed cells are painted at " + shareName(share));
  choosePaint(COMPUTE, event);
}
function stepShare(by) {
  const {bins} = facts().routed, box = state.box || (state.keyboard && state.cursor && boxOf(state.cursor, state.cursor));
  if (box) change((table) => changeShare(table, box, by, bins));
  else { state.ratio = nextShare(state.ratio, by, bins); say("computed cells are painted at " + shareName(state.ratio)); refresh(); }
}
function chooseCarry(carry) { change((table) => { table.carry = carry; }); say("cached cells reuse their last " + carry); }
function applyStroke() { if (state.cursor) state.keyboard = true; applyPaint(state.shape); }
function applyPaint(shape) {
  const at = state.box ? {step: state.box.step0, site: state.box.site0} : state.cursor, paint = paintAt(at);
  change((table) => state.box ? paintBox(table, state.box, paint) : (STROKES[shape] || STROKES.brush)(table, {start: at, last: at, at, paint}));
}
function selectBox(box) { state.box = box; state.anchor = null; if (box) say("selected " + boxText(box).toLowerCase()); refreshButtons(); showPlace(); paintOver(); }
function shiftBox(by) {
  let moved = null;
  change((table) => { moved = shiftSteps(table, state.box, by); });
  state.box = moved; state.anchor = null;
  if (state.cursor) state.cursor = {...state.cursor, step: clamp(state.cursor.step + by, state.table.steps - 1)};
  say("moved to " + boxText(moved).toLowerCase());
  refreshButtons(); showPlace(); paintOver();
}
function copyCells() {
  const box = state.box || {...boxOf(state.cursor, state.cursor), site0: 0, site1: state.table.sites - 1};
  state.clip = clipOf(state.table, box);
  say("copied " + boxText(box).toLowerCase());
  refreshButtons();
}
function pasteCells() {
  const {clip, table} = state, whole = clip.sites === table.sites;
  const at = state.cursor || (state.box ? {step: state.box.step0, site: state.box.site0} : {step: 0, site: 0});
  const from = state.box ? {step: state.box.step0, site: state.box.site1 - clip.sites + 1} : {step: at.step, site: at.site - clip.sites + 1};
  change((next) => { state.box = pasteAt(next, clip, from.step, whole ? 0 : clamp(from.site, table.sites - 1)); });
}
function nextView() {
  const names = ["actions", ...Object.keys(SHADES)].filter((name) => can("show-" + name));
  return names[(names.indexOf(state.view) + 1) % names.length];
}
function show(name) { state.view = name; say("showing " + name); refreshButtons(); draw(); }
function toggleHelp() {
  const help = root.querySelector(".pg-help");
  help.hidden = !help.hidden;
  refreshButtons();
}
function savePicture() {
  const sheet = document.createElement("canvas"), margin = Math.round(base.width * 0.02), context = sheet.getContext("2d");
  sheet.width = base.width + 2 * margin; sheet.height = base.height + 2 * margin;
  context.fillStyle = state.tokens.surface; context.fillRect(0, 0, sheet.width, sheet.height);
  context.drawImage(base, margin, margin);
  sheet.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob); link.download = "policy-grid.png"; link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

watch("value", () => adopt());
dressButtons();
new ResizeObserver(redraw).observe(stage);
const themes = new MutationObserver((changes) => {
  if (!root.isConnected) { themes.disconnect(); return; }
  if (changes.some(({attributeName}) => attributeName !== "class")) { if (!state.table) adopt(); return; }
  state.tokens = readTokens(root); redraw();
});
themes.observe(document.body, {attributes: true, attributeFilter: ["class", "data-restored"]});
if (!awaited()) adopt(content(), true);
setTimeout(() => { state.tokens = readTokens(root); if (state.table) refresh(); }, 60); // once the style sheet of the page is there
