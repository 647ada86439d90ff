// The policy grid: its state, its numbers, and what it tells Python: the whole policy by "input", once a gesture.
const root = element.querySelector(".pg"), stage = root.querySelector(".pg-stage");
const base = root.querySelector(".pg-base"), over = root.querySelector(".pg-over");
const fact = (name) => root.querySelector('[data-fact="' + name + '"]');
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
const state = {table: null, paint: COMPUTE, ratio: 1, shape: "brush", view: "actions", undo: [], redo: [], before: null, drag: null, cursor: null, anchor: null,
  box: null, clip: null, hover: null, keyboard: false, flashes: [], layout: null, tokens: readTokens(root), dirty: false, edits: 0, pushed: 0, resting: null, tally: null, ages: null};
const KEEPS = 200; // steps of undo
const REST = 300; // ms without a change, after which the rest of the page follows

// What the server said about the policy on show: costs, names, measurements. Edits send back the policy alone.
let told = {};
const content = () => props.value || {};
const editable = () => !told.readonly;
function facts() {
  const {steps, sites} = state.table || {steps: 0, sites: 0}, fits = told.labels && told.labels.length === sites;
  return {...told, counted: !(fits && told.site_macs), site_macs: fits && told.site_macs || new Array(sites).fill(1), rest_macs: told.rest_macs || 0, routed: fits && told.routed || null, skips: fits && told.skips || [],
    labels: fits ? told.labels : Array.from({length: sites}, (_, i) => String(i)), timesteps: (told.timesteps || []).length === steps ? told.timesteps : []};
}
const scope = () => state.box || wholeOf(state.table);
const everyN = () => Math.max(2, Math.min(99, Math.round(Number(root.querySelector(".pg-n").value)) || 2));

function draw() {
  state.dirty = false;
  if (state.table) stage.style.setProperty("--steps", state.table.steps); // room for them on narrow screens
  const width = stage.clientWidth;
  if (!state.table || width < 40) return;
  const {table, tokens} = state, known = facts(), measure = base.getContext("2d");
  measure.font = LABEL_BOLD + tokens.font;
  const labelWidth = Math.min(Math.max(14, ...known.labels.map((text) => measure.measureText(text).width)), Math.max(60, width * 0.2));
  const layout = layoutOf(width, table.steps, table.sites, labelWidth, known.timesteps.length > 0, window.devicePixelRatio || 1, known.skips.length);
  state.layout = layout;
  stage.style.height = layout.height + "px";
  const context = fitCanvas(base, width, layout.height), shade = shadeOf(state.view, table, known);
  state.tally = tallyOf(table, known.site_macs, known.rest_macs, known.routed);
  state.ages = agesOf(table);
  drawBars(context, state.tally, known.site_macs, layout, tokens);
  const joins = joinsOf(table);
  if (layout.small < SMALL) paintSmall(context, table, joins, layout, tokens, shade);
  else if (shade) drawShades(context, table, joins, layout, tokens, shade);
  else drawCells(context, table, joins, layout, tokens);
  drawLocks(context, table, layout, tokens);
  drawSkips(context, known.skips, layout, tokens["ink-faint"]);
  drawLabels(context, known.labels, known.timesteps, layout, tokens);
  showScale(shade); paintOver();
  setTimeout(showNumbers); // once the cells are on the screen
  root.dataset.rows = rowsText(table);
  root.dataset.carry = table.carry;
  root.dataset.keep = (keepRows(table) || []).join("/");
  root.dataset.frame = [layout.left, layout.top, layout.cellW, layout.cellH].join(" ");
  root.dataset.ready = "true";
}
function redraw() { if (!state.dirty) { state.dirty = true; requestAnimationFrame(draw); } }
function paintOver() {
  if (!state.layout) return;
  const now = performance.now();
  state.flashes = state.flashes.filter(({born, strong}) => now - born < (strong ? 1400 : 700));
  drawOver(fitCanvas(over, state.layout.width, state.layout.height), {flashes: state.flashes, box: state.drag && state.drag.box || state.box,
    cursor: state.keyboard ? state.cursor : null, hover: state.hover, skips: facts().skips, still: calm.matches}, facts().labels, state.layout, state.tokens, now);
  if (state.flashes.length) calm.matches ? setTimeout(paintOver, 300) : requestAnimationFrame(paintOver);
}
function flash(cells, strong) {
  if (!cells.length || (calm.matches && !strong)) return;
  state.flashes.push({cells, born: performance.now(), strong});
  requestAnimationFrame(paintOver);
}

const shareText = (share) => (100 * share).toFixed(1) + " %";
function showNumbers() {
  const {table, tally, ages} = state, total = table.cells.length, known = facts();
  if (state.dirty) return; // those of the next picture come with it
  showPlace();
  fact("share").textContent = shareText(tally.share);
  fact("macs").textContent = known.counted ? "all blocks counted alike" : withUnit(tally.macs, "MACs") + " of " + withUnit(tally.full, "MACs") + " per image";
  fact("held").textContent = table.carry === "output" ? "Outputs held" : "Residuals held";
  const held = peakResiduals(table);
  fact("memory").textContent = held ? (known.residual_bytes ? withUnit(held * known.residual_bytes, "B") : held + " at once") : "none";
  const oldest = ages.reduce((a, b) => Math.max(a, b), 0);
  fact("age").textContent = oldest ? oldest + (oldest === 1 ? " step" : " steps") : "none";
  root.querySelector(".pg-predicted").hidden = !known.sensitivity;
  if (known.sensitivity) fact("closeness").textContent = shareText(closenessOf(table, ages, known.sensitivity));
  for (const action of ["1", "0", "-1"]) root.querySelector('[data-count="' + action + '"]').textContent = Math.round(100 * tally.counts[action] / total) + " %";
  const locked = table.locks.reduce((a, b) => a + b, 0);
  root.querySelector('[data-count="lock"]').textContent = locked ? String(locked) : "";
}
function showScale(shade) {
  const scale = root.querySelector(".pg-scale");
  scale.hidden = !shade;
  if (!shade) return;
  fact("low").textContent = shade.low; fact("high").textContent = shade.high;
  scale.querySelector("i").style.background = "linear-gradient(to right, " + state.tokens[shade.ramp].join(", ") + ")";
}

// The facts of one cell: [name, value] pairs, without those that are not known.
function factsOf({step, site}) {
  const {table, tally} = state, at = step * table.sites + site, cell = table.cells[at], known = facts(), cost = costOf(at, known) / tally.full;
  const age = agesIfCached(table)[at], similar = known.similarity && known.similarity[step][site], errors = known.sensitivity;
  return [["Action", actionText(at) + (cell === CACHE ? ", age " + age : "") + (table.locks[at] ? ", locked" : "")],
    [cell === COMPUTE ? "MACs" : "MACs saved", percent(cost)],
    ["Skip branch", skipText(site, known)],
    ["Similarity", similar === null || similar === undefined ? "" : similar.toFixed(3)],
    ["Error if cached", errors && age ? percent(Math.sqrt(errorOf(errors, step, site, CACHE, age))) : ""],
    ["Error if skipped", errors ? percent(Math.sqrt(errorOf(errors, step, site, SKIP, 0))) : ""]].filter(([, value]) => value);
}
// What a cell does in words: "computed on 60 % of the tokens", "cached output".
function actionText(at) {
  const {cells, keep, carry} = state.table, cell = cells[at];
  return ACTION_NAME[cell] + (cell === COMPUTE && keep[at] < 1 ? " on " + shareName(keep[at]) : cell === CACHE && carry === "output" ? " output" : "");
}
const shareName = (share) => share < 1 ? Number((100 * share).toFixed(1)) + " % of the tokens" : "all tokens";
// MACs that a cell costs, or saves.
const costOf = (at, known) => known.site_macs[at % state.table.sites] * (state.table.cells[at] === COMPUTE ? macsShare(known.routed, state.table.keep[at], at % state.table.sites) : 1);
function placeName({step, site}) {
  const {labels, timesteps} = facts();
  return "Step " + step + (timesteps.length ? ", t " + timestepText(timesteps[step], timesteps) : "") + ", block " + labels[site];
}
// "step 7, block 3, cached, age 2, 1.4% of MACs"
function describeCell(at) {
  const {table, tally} = state, index = at.step * table.sites + at.site, cell = table.cells[index], cost = 100 * costOf(index, facts()) / tally.full;
  const more = factsOf(at).slice(2).map(([name, value]) => ", " + name.toLowerCase() + " " + value.replace(" %", "%")).join("");
  return "step " + at.step + ", block " + facts().labels[at.site] + ", " + actionText(index).replace(" %", "%") + (cell === CACHE ? ", age " + state.ages[index] : "") +
    ", " + cost.toFixed(cost < 0.1 ? 2 : 1) + "% of MACs" + (cell === COMPUTE ? "" : " saved") + (table.locks[index] ? ", locked" : "") + more;
}
const boxText = ({step0, step1, site0, site1}) => (step0 === step1 ? "Step " + step0 : "Steps " + step0 + " to " + step1) + ", " + (site0 === site1 ? "block " : "blocks ") +
  (site0 === site1 ? facts().labels[site0] : facts().labels[site0] + " to " + facts().labels[site1]);
function showPlace() {
  const at = state.hover || (state.keyboard ? state.cursor : null), list = root.querySelector(".pg-cell");
  fact("where").textContent = at ? placeName(at) : "";
  list.replaceChildren(...(at ? factsOf(at) : []).map(([name, value]) => {
    const pair = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = name; text.textContent = value; pair.append(term, text);
    return pair;
  }));
  fact("hint").textContent = at ? "" : [told.hint || (editable() ? "Drag to paint; click a step or block number to fill it. Press ? for all tools and keys." : ""), legend()].filter(Boolean).join(" ");
  fact("scope").textContent = state.box ? boxText(state.box) : "Whole grid";
}
// What is drawn beyond the three actions, in words.
function legend() {
  const {carry, cells, keep} = state.table, {skips} = facts();
  return (keep.some((share) => share < 1) ? "A cell computes the share of its tokens to which it is filled. " : "") + (skips.length ? "Brackets: long skip branches, from the dot to the arrow. " : "") + (carry === "output" && cells.includes(CACHE) ? "Double lines hand on the block's last output, single ones would add its last residual." : "");
}
function say(text) { fact("live").textContent = text; }

// Every change goes through begin and commit: one step of undo, repaired, told to Python once.
function begin() { state.before = copyOf(state.table); state.table.ratio = facts().routed ? state.ratio : 1; }
function commit() {
  const {before, table} = state;
  state.before = null;
  if (!before) return;
  const repaired = repairTable(table), changed = differences(before, table);
  if (repaired.length) { flash(repaired, true); say(repaired.length + (repaired.length === 1 ? " cell stays" : " cells stay") + " computed: a cached cell needs an earlier computed one in its row"); }
  if (changed.length || before.carry !== table.carry) { remember(before); tell(); }
  refresh();
}
function change(act) { begin(); act(state.table); commit(); draw(); if (state.keyboard && state.cursor && !fact("live").textContent.includes("stay")) say(describeCell(state.cursor)); }
function remember(table) { state.undo.push(table); if (state.undo.length > KEEPS) state.undo.shift(); state.redo = []; }
function differences(a, b) {
  const changed = [];
  for (let at = 0; at < a.cells.length; at++) {
    const other = a.cells[at] !== b.cells[at] || a.locks[at] !== b.locks[at] || a.keep[at] !== b.keep[at];
    if (other || (a.carry !== b.carry && b.cells[at] === CACHE)) changed.push(at);
  }
  return changed;
}
function travel(from, to) {
  to.push(copyOf(state.table));
  const next = from.pop(), changed = differences(next, state.table);
  state.table = next;
  flash(changed, false); tell(); refresh();
  say((from === state.undo ? "undone, " : "redone, ") + changed.length + (changed.length === 1 ? " cell" : " cells"));
}

// Paint first: Python hears of it after the next frame, and the rest of the page when the grid has rested ("release").
function tell() {
  state.edits += 1;
  root.dataset.checked = "false";
  requestAnimationFrame(() => setTimeout(push));
}
function push() {
  const {name, model, sites, timesteps} = content(), {table, edits} = state, {carry} = table;
  if (edits === state.pushed) return;
  state.pushed = edits;
  const policy = {rows: rowsFromTable(table), keep: keepRows(table), carry};
  check(edits, policy);
  props.value = {name, model, sites, timesteps, ...policy, locked: lockedRows(table), edits};
  trigger("input");
  rest();
}
function rest() { clearTimeout(state.resting); state.resting = setTimeout(() => { if (root.isConnected) trigger("release"); }, REST); }
let check = () => {}; // asks the server, in a grid that has one to ask

function refresh() {
  root.classList.toggle("pg-readonly", !editable());
  root.classList.toggle("pg-output", Boolean(state.table) && state.table.carry === "output");
  showRatios();
  refreshButtons(); redraw();
}

// The shares of tokens to paint with, for a model that has routers; a policy may hold shares for one that has none.
function showRatios() {
  const list = root.querySelector(".pg-ratio"), {routed} = facts(), bins = routed ? routed.bins : [];
  root.querySelector(".pg-tokens").hidden = !routed;
  if (String([...list.options].map((option) => Number(option.value))) !== String(bins)) {
    list.replaceChildren(...bins.map((bin) => new Option(Math.round(100 * bin) + " %", bin)));
  }
  list.value = String(state.ratio);
}

// The page may come with the policy of a first visit. Whoever has painted before, or follows a link, waits for their own.
function awaited() {
  if (document.body.dataset.restored || !element.closest("#editor")) return false;
  try { return new URL(window.location.href).searchParams.has("s") || localStorage.getItem("mddit-session") !== null; } catch (error) { return false; }
}
// What was measured of a model's cells is so for any policy of as many steps.
const alike = ({model, labels, timesteps}) => model === told.model && String([labels, timesteps]) === String([told.labels, told.timesteps]);
const measurements = () => ({similarity: told.similarity, sensitivity: told.sensitivity, measured: told.measured});
// A policy from the server. What was painted stays in the history; a lock stays where its cell is still the same.
function adopt(value = content(), known = false) { // known: the rest of the page came with it
  if (!value.rows || !value.rows.length) return;
  if (value.labels) told = value.sensitivity || !alike(value) ? value : {...value, ...measurements()};
  const next = tableFromRows(value.rows, value.locked, value.keep, value.carry), now = state.table, same = now && now.steps === next.steps && now.sites === next.sites;
  if (same && !value.locked) next.locks = now.locks.map((lock, at) => lock && Number(now.cells[at] === next.cells[at]));
  const changed = same ? differences(now, next) : [];
  if (!same) Object.assign(state, {undo: [], redo: [], cursor: null, anchor: null, box: null, clip: null});
  else if ((changed.length || now.carry !== next.carry) && editable()) remember(now);
  Object.assign(state, {table: next, hover: null, drag: null, before: null});
  if (NEEDS[state.view] && !told[NEEDS[state.view]]) state.view = "actions";
  if (changed.length < next.cells.length / 2) flash(changed, false); // when nearly all is new, nothing stands out
  root.dataset.checked = "true";
  if (!known) rest();
  const locked = lockedRows(next);
  if (locked && String(locked) !== String(value.locked)) setTimeout(() => { props.value = {...content(), locked}; });
  refresh();
}
