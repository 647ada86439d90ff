// The policy grid: state of the strokes, events and numbers. Python is told once per gesture by "input".
const root = element.querySelector(".pg"), stage = root.querySelector(".pg-stage");
const base = root.querySelector(".pg-base"), over = root.querySelector(".pg-over");
const fact = (name) => root.querySelector('[data-fact="' + name + '"]');
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
const state = {table: null, brush: COMPUTE, tool: "brush", view: "actions", undo: [], redo: [], stroke: null, drag: null,
  cursor: null, anchor: null, hover: null, keyboard: false, flashes: new Map(), layout: null, tokens: readTokens(root), dirty: false};

const content = () => props.value || {};
const editable = () => !content().readonly;
const siteMacs = () => { const macs = content().site_macs; return macs && macs.length === state.table.sites ? macs : new Array(state.table.sites).fill(1); };
const labels = () => { const names = content().labels; return names && names.length === state.table.sites ? names : Array.from({length: state.table.sites}, (_, i) => String(i)); };
const boxOf = (a, b) => ({step0: Math.min(a.step, b.step), step1: Math.max(a.step, b.step), site0: Math.min(a.site, b.site), site1: Math.max(a.site, b.site)});

function overlayOf() {
  const {table, tokens} = state;
  if (state.view === "age") { const ages = agesOf(table), most = Math.max(1, ...ages); return (s, b) => between(tokens.similarity, ages[s * table.sites + b] / most); }
  if (state.view === "macs") { const macs = siteMacs(), most = Math.max(...macs); return (s, b) => between(tokens.macs, table.cells[s * table.sites + b] === COMPUTE ? 0.25 + 0.5 * macs[b] / most : 0); }
  const costs = content().sensitivity;
  if (state.view === "sensitivity" && costs && costs.cached.length) {
    const scaled = (s, b) => Math.log10(Math.max(costs.cached[0][s][b], 1e-9));
    const all = costs.skipped.flatMap((row, s) => (s ? row.map((_, b) => scaled(s, b)) : []));
    const low = Math.min(...all), span = Math.max(1e-6, Math.max(...all) - low);
    return (s, b) => s ? between(tokens.macs, (scaled(s, b) - low) / span) : tokens.sunken;
  }
  const grid = content().similarity;
  if (state.view === "similarity" && grid) {
    const low = Math.min(...grid.flat().filter((v) => v !== null)), span = Math.max(1e-6, 1 - low);
    return (s, b) => grid[s] && grid[s][b] !== null && grid[s][b] !== undefined ? between(tokens.similarity, (grid[s][b] - low) / span) : tokens.sunken;
  }
  return null;
}

function draw() {
  state.dirty = false;
  const width = stage.clientWidth;
  if (!state.table || width < 40) return;
  const {table, tokens} = state, dense = width < 460, measure = base.getContext("2d");
  measure.font = "11px " + tokens.font;
  const labelWidth = Math.max(14, ...labels().map((text) => measure.measureText(text).width));
  const layout = layoutOf(width, table.steps, table.sites, Math.min(labelWidth, 96), dense);
  state.layout = layout;
  stage.style.height = layout.height + "px";
  const context = fitCanvas(base, width, layout.height);
  const tally = tallyOf(table, siteMacs(), content().rest_macs || 0);
  drawBars(context, tally, siteMacs(), layout, tokens);
  drawCells(context, table, layout, tokens, overlayOf());
  drawLabels(context, labels(), layout, tokens);
  showNumbers(tally);
  redrawOver();
  root.dataset.rows = rowsFromTable(table).join("/");
  root.dataset.frame = [layout.left, layout.top, layout.cellW, layout.cellH].join(" ");
  root.dataset.ready = "true";
}
function redraw() { if (!state.dirty) { state.dirty = true; requestAnimationFrame(draw); } }
function redrawOver() {
  if (!state.layout) return;
  const now = performance.now(), box = state.drag && state.drag.box || (state.anchor && state.cursor ? boxOf(state.anchor, state.cursor) : null);
  drawOver(fitCanvas(over, state.layout.width, state.layout.height), {flashes: state.flashes, box,
    cursor: state.keyboard ? state.cursor : null, hover: state.hover}, state.layout, state.tokens, now);
  if (state.flashes.size) requestAnimationFrame(redrawOver);
}
function flash(cells, strong) {
  if (calm.matches && !strong) return;
  const born = performance.now();
  cells.forEach((at) => state.flashes.set(at, {born, strong}));
  redrawOver();
}

function showNumbers(tally) {
  const total = state.table.steps * state.table.sites, known = Boolean(content().site_macs);
  fact("share").textContent = (100 * tally.share).toFixed(1) + " %";
  fact("macs").textContent = known ? withUnit(tally.macs, "MACs") + " of " + withUnit(tally.full, "MACs") + " per image" : "all blocks counted alike";
  const held = peakResiduals(state.table), bytes = content().residual_bytes;
  fact("memory").textContent = held ? (bytes ? withUnit(held * bytes, "B") : held + " at once") : "none";
  const ages = agesOf(state.table), oldest = Math.max(...ages), costs = content().sensitivity;
  root.querySelector(".pg-predicted").hidden = !costs;
  if (costs) fact("predicted").textContent = (100 * Math.sqrt(predictedError(state.table, ages, costs) / total)).toPrecision(2) + " %";
  fact("age").textContent = oldest ? oldest + (oldest === 1 ? " step" : " steps") : "none";
  for (const action of ["1", "0", "-1"]) root.querySelector('[data-count="' + action + '"]').textContent = Math.round(100 * tally.counts[action] / total) + " %";
  state.tally = tally;
}
function describeCell({step, site}) {
  const at = step * state.table.sites + site, cell = state.table.cells[at], age = agesOf(state.table)[at];
  const cost = 100 * siteMacs()[site] / state.tally.full, spare = cell === COMPUTE ? "" : " saved";
  const similar = content().similarity, cosine = similar && similar[step] ? similar[step][site] : null;
  return "step " + step + ", block " + labels()[site] + ", " + ACTION_NAME[cell] + (cell === CACHE ? ", age " + age : "") +
    ", " + cost.toFixed(cost < 0.1 ? 2 : 1) + "% of MACs" + spare + (cosine === null || cosine === undefined ? "" : ", similarity to the step before " + cosine.toFixed(3));
}
function showHint() {
  const at = state.hover || (state.keyboard ? state.cursor : null);
  const text = at ? describeCell(at) : content().hint || (editable() ? "Drag to paint. Click a step or block number to fill it. With the keyboard: arrows move, Shift selects, 1 2 3 set." : "");
  fact("hint").textContent = text.charAt(0).toUpperCase() + text.slice(1);
}
function say(text) { fact("live").textContent = text; }

function paint(at) {
  const index = at.step * state.table.sites + at.site;
  if (state.table.cells[index] !== state.brush) { state.table.cells[index] = state.brush; redraw(); }
}
function paintBox({step0, step1, site0, site1}) {
  for (let step = step0; step <= step1; step++) for (let site = site0; site <= site1; site++) paint({step, site});
}
function paintLine(from, to) {
  const length = Math.max(Math.abs(to.step - from.step), Math.abs(to.site - from.site), 1);
  for (let i = 0; i <= length; i++) paint({step: Math.round(from.step + (to.step - from.step) * i / length), site: Math.round(from.site + (to.site - from.site) * i / length)});
}
function begin() { state.stroke = state.table.cells.slice(); }
function commit() {
  const before = state.stroke;
  state.stroke = null;
  if (!before) return;
  const repaired = repairTable(state.table);
  const changed = before.some((cell, i) => cell !== state.table.cells[i]);
  if (repaired.length) { flash(repaired, true); say(repaired.length + (repaired.length === 1 ? " cell stays" : " cells stay") + " computed: a cached cell needs an earlier computed one in its row"); }
  if (changed) { state.undo.push(before); if (state.undo.length > 200) state.undo.shift(); state.redo = []; tell(); }
  refresh();
}
function tell() {
  const value = content();
  props.value = {...value, rows: rowsFromTable(state.table), edits: (value.edits || 0) + 1};
  trigger("input");
}
function travel(from, to) {
  if (!from.length) return;
  to.push(state.table.cells.slice());
  const cells = from.pop(), changed = [];
  cells.forEach((cell, i) => { if (cell !== state.table.cells[i]) changed.push(i); });
  state.table.cells = cells;
  flash(changed, false); tell(); refresh();
}
function refresh() {
  root.querySelector('[data-do="undo"]').disabled = !state.undo.length;
  root.querySelector('[data-do="redo"]').disabled = !state.redo.length;
  root.classList.toggle("pg-readonly", !editable());
  root.querySelectorAll("[data-brush]").forEach((b) => b.setAttribute("aria-checked", String(Number(b.dataset.brush) === state.brush)));
  root.querySelectorAll("[data-tool]").forEach((b) => b.setAttribute("aria-checked", String(b.dataset.tool === state.tool)));
  for (const name of ["similarity", "sensitivity"]) root.querySelector('[data-view] [value="' + name + '"]').disabled = !content()[name];
  showHint(); redraw();
}

function adopt() {
  const value = content();
  if (!value.rows || !value.rows.length) return;
  const next = tableFromRows(value.rows), now = state.table;
  const same = now && now.steps === next.steps && now.sites === next.sites;
  const changed = [];
  if (same) next.cells.forEach((cell, i) => { if (cell !== now.cells[i]) changed.push(i); });
  if (same && changed.length && editable()) { state.undo.push(now.cells); state.redo = []; }
  if (!same) { state.undo = []; state.redo = []; state.cursor = null; state.anchor = null; }
  if (!same || changed.length) state.table = next;
  state.hover = null;
  if (["similarity", "sensitivity"].includes(state.view) && !value[state.view]) { state.view = "actions"; root.querySelector("[data-view]").value = "actions"; }
  if (changed.length) flash(changed, false);
  refresh();
}
