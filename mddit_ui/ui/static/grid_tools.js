// What can be done to the cells of a table. Each function changes the table in place and leaves locked cells as they are.
const boxOf = (a, b) => ({step0: Math.min(a.step, b.step), step1: Math.max(a.step, b.step), site0: Math.min(a.site, b.site), site1: Math.max(a.site, b.site)});
const wholeOf = (table) => ({step0: 0, step1: table.steps - 1, site0: 0, site1: table.sites - 1});
const LOCK = 2, FREE = 3; // what a stroke may paint beside the three actions

function setCell(table, step, site, paint, share = table.ratio) {
  const at = step * table.sites + site;
  if (paint === LOCK || paint === FREE) table.locks[at] = Number(paint === LOCK);
  else if (!table.locks[at]) { table.cells[at] = paint; table.keep[at] = paint === COMPUTE ? share : 1; }
}

function paintBox(table, box, paint) {
  for (let step = box.step0; step <= box.step1; step++) for (let site = box.site0; site <= box.site1; site++) setCell(table, step, site, paint);
}

function paintLine(table, from, to, paint) {
  const length = Math.max(Math.abs(to.step - from.step), Math.abs(to.site - from.site), 1);
  for (let i = 0; i <= length; i++) {
    setCell(table, Math.round(from.step + (to.step - from.step) * i / length), Math.round(from.site + (to.site - from.site) * i / length), paint);
  }
}

// The connected cells of one action (and, when locks are painted, of one lock) round a cell.
function flood(table, from, paint) {
  const {steps, sites, cells, locks} = table, first = from.step * sites + from.site, seen = new Uint8Array(cells.length);
  const action = cells[first], lock = locks[first], open = [first];
  seen[first] = 1;
  while (open.length) {
    const at = open.pop(), step = Math.floor(at / sites), site = at % sites;
    setCell(table, step, site, paint);
    for (const [on, next] of [[step > 0, at - sites], [step < steps - 1, at + sites], [site > 0, at - 1], [site < sites - 1, at + 1]]) {
      if (on && !seen[next] && cells[next] === action && locks[next] === lock) { seen[next] = 1; open.push(next); }
    }
  }
}

// In a box: compute every n-th step, counted from its first, and paint the steps between.
function everyNth(table, box, n, between) {
  for (let step = box.step0; step <= box.step1; step++) paintBox(table, {...box, step0: step, step1: step}, (step - box.step0) % n ? between : COMPUTE);
}

function clipOf(table, box) {
  const clip = {steps: box.step1 - box.step0 + 1, sites: box.site1 - box.site0 + 1, cells: []};
  for (let step = box.step0; step <= box.step1; step++) for (let site = box.site0; site <= box.site1; site++) clip.cells.push([table.cells[step * table.sites + site], table.keep[step * table.sites + site]]);
  return clip;
}
// What lies beyond the table is dropped. Returns the box that was painted.
function pasteAt(table, clip, step0, site0) {
  const box = {step0, site0, step1: Math.min(step0 + clip.steps, table.steps) - 1, site1: Math.min(site0 + clip.sites, table.sites) - 1};
  for (let step = step0; step <= box.step1; step++) for (let site = site0; site <= box.site1; site++) setCell(table, step, site, ...clip.cells[(step - step0) * clip.sites + site - site0]);
  return box;
}

// The steps of the box again and again, up to the last step.
function repeatSteps(table, box) {
  const clip = clipOf(table, box);
  for (let step = box.step1 + 1; step < table.steps; step += clip.steps) pasteAt(table, clip, step, box.site0);
}

// Every computed cell of a box runs on the next larger (1) or smaller (-1) share of the tokens that there is a bin for.
function changeShare(table, box, by, bins) {
  for (let step = box.step0; step <= box.step1; step++) for (let site = box.site0; site <= box.site1; site++) {
    const at = step * table.sites + site;
    if (table.cells[at] === COMPUTE && !table.locks[at]) table.keep[at] = nextShare(table.keep[at], by, bins);
  }
}
function nextShare(share, by, bins) {
  const up = bins.filter((bin) => bin > share + 1e-6), down = bins.filter((bin) => bin < share - 1e-6); // bins go down from 1
  return by > 0 ? (up.length ? up[up.length - 1] : bins[0]) : (down.length ? down[0] : bins[bins.length - 1]);
}

function mirror(table, box, overDepth) {
  const clip = clipOf(table, box), turned = {...clip, cells: clip.cells.map((_, i) => {
    const step = Math.floor(i / clip.sites), site = i % clip.sites;
    return overDepth ? clip.cells[step * clip.sites + clip.sites - 1 - site] : clip.cells[(clip.steps - 1 - step) * clip.sites + site];
  })};
  pasteAt(table, turned, box.step0, box.site0);
}

// Move the steps of a box by some steps; the cells that they pass change places with them. Blocks with a locked cell on the
// way stay. Returns the box where the steps are now.
function shiftSteps(table, box, by) {
  const moved = Math.max(-box.step0, Math.min(table.steps - 1 - box.step1, by));
  const low = box.step0 + Math.min(moved, 0), high = box.step1 + Math.max(moved, 0), length = high - low + 1;
  for (let site = box.site0; site <= box.site1; site++) {
    const places = Array.from({length}, (_, i) => (low + i) * table.sites + site);
    if (places.some((at) => table.locks[at])) continue;
    const before = places.map((at) => [table.cells[at], table.keep[at]]);
    before.forEach(([cell, share], i) => { const at = places[(i + moved + length) % length]; table.cells[at] = cell; table.keep[at] = share; });
  }
  return {...box, step0: box.step0 + moved, step1: box.step1 + moved};
}
