// The arithmetic of a policy in the browser, so that numbers follow the brush; Python stays the authority.
const SKIP = -1, CACHE = 0, COMPUTE = 1;
const ACTION_OF = {"#": COMPUTE, "=": CACHE, ".": SKIP};
const ACTION_OF_CODE = Int8Array.from({length: 128}, (_, code) => ACTION_OF[String.fromCharCode(code)] ?? SKIP);
const ACTION_NAME = {"1": "computed", "0": "cached", "-1": "skipped"};

// A table is {steps, sites, cells, locks, keep, carry, ratio}: cell (step, site) stands at step * sites + site. Locked cells keep
// their action. keep: share of the tokens that a computed cell runs on, 1 in all others; ratio: that of the cells painted next.
// carry: what cached cells reuse, "residual" or "output".
function tableFromRows(rows, locked, keep, carry) {
  const steps = rows.length, sites = rows[0].length;
  const table = {steps, sites, cells: new Int8Array(steps * sites), locks: new Uint8Array(steps * sites),
    keep: new Float64Array(steps * sites).fill(1), carry: carry || "residual", ratio: 1};
  const codes = new TextEncoder().encode(rows.join(""));
  for (let at = 0; at < codes.length; at++) table.cells[at] = ACTION_OF_CODE[codes[at]];
  if (keep && keep.length === steps) keep.forEach((row, step) => row.forEach((share, site) => { if (row.length === sites && table.cells[step * sites + site] === COMPUTE) table.keep[step * sites + site] = share; }));
  if (locked && locked.length === steps) locked.forEach((row, step) => { for (let site = 0; site < sites; site++) table.locks[step * sites + site] = Number(row[site] in ACTION_OF); });
  return table;
}
const copyOf = (table) => ({...table, cells: table.cells.slice(), locks: table.locks.slice(), keep: table.keep.slice()});
function restore(table, from) { table.cells.set(from.cells); table.locks.set(from.locks); table.keep.set(from.keep); }

// The shares of tokens as a policy file has them; null when every cell runs on all.
function keepRows({steps, sites, keep}) {
  return keep.every((share) => share === 1) ? null : Array.from({length: steps}, (_, step) => Array.from(keep.subarray(step * sites, (step + 1) * sites)));
}
// What of a block's MACs is left at a share of the tokens: between the bins that the server has counted, in a straight line.
function macsShare(routed, share, site) {
  if (!routed || share >= 1) return 1;
  const {bins, macs} = routed, last = bins.length - 1; // bins go down from 1
  if (share <= bins[last]) return macs[last][site];
  const low = bins.findIndex((bin) => bin <= share), part = (share - bins[low]) / (bins[low - 1] - bins[low]);
  return macs[low][site] + part * (macs[low - 1][site] - macs[low][site]);
}

function rowsText({steps, sites, cells}) {
  const text = new Uint8Array(steps * (sites + 1) - 1), codes = [46, 61, 35]; // . = #
  for (let step = 0, at = 0, to = 0; step < steps; step++) {
    for (let site = 0; site < sites; site++) text[to++] = codes[cells[at++] + 1];
    if (step < steps - 1) text[to++] = 47;
  }
  return new TextDecoder().decode(text);
}
const rowsFromTable = (table) => rowsText(table).split("/");

// The rows with "?" for the cells that are free, as a search takes them; null when nothing is locked.
function lockedRows(table) {
  if (!table.locks.includes(1)) return null;
  return rowsFromTable(table).map((row, step) => Array.from(row, (letter, site) => table.locks[step * table.sites + site] ? letter : "?").join(""));
}

// A cached cell with nothing computed before it becomes computed, as core.policy.repair does; if it is locked, the nearest
// free cell before it. Returns the changed cells.
function repairTable({steps, sites, cells, locks, keep}) {
  const changed = [];
  for (let site = 0; site < sites; site++) {
    let free = -1;
    for (let step = 0; step < steps; step++) {
      const at = step * sites + site;
      if (cells[at] === COMPUTE) break;
      if (cells[at] === CACHE) {
        const source = locks[at] && free >= 0 ? free : at;
        cells[source] = COMPUTE; keep[source] = 1; changed.push(source); break;
      }
      if (!locks[at]) free = at;
    }
  }
  return changed;
}

// Steps since the residual of a cached cell was computed; 0 elsewhere.
function agesOf({steps, sites, cells}) {
  const ages = new Int16Array(steps * sites);
  for (let site = 0; site < sites; site++) {
    let last = -1;
    for (let step = 0; step < steps; step++) {
      const at = step * sites + site;
      if (cells[at] === COMPUTE) last = step;
      else if (cells[at] === CACHE) ages[at] = step - last;
    }
  }
  return ages;
}

// Most residuals held at one time, as core.plan counts them: neighbours that were computed in the same step and are used
// in the same later steps keep one; a residual is freed after its last use.
function peakResiduals({steps, sites, cells}) {
  const size = steps * sites, source = new Int32Array(size).fill(-1), lastUse = new Int32Array(size).fill(-1);
  const parted = new Uint8Array(size), freed = new Uint8Array(size);
  for (let site = 0; site < sites; site++) {
    let last = -1;
    for (let step = 0; step < steps; step++) {
      const at = step * sites + site;
      if (cells[at] === COMPUTE) last = step;
      else if (cells[at] === CACHE) { source[at] = last; lastUse[last * sites + site] = step; }
    }
  }
  for (let step = 0; step < steps; step++) {
    for (let site = 1; site < sites; site++) {
      const here = source[step * sites + site], before = source[step * sites + site - 1];
      if (here === before) continue;
      if (here >= 0) parted[here * sites + site] = 1;
      if (before >= 0) parted[before * sites + site] = 1;
    }
  }
  const joined = (at) => at % sites > 0 && lastUse[at] >= 0 && lastUse[at - 1] >= 0 && !parted[at];
  for (let at = 0; at < size; at++) if (lastUse[at] >= 0) freed[lastUse[at] * sites + at % sites] = 1;
  let held = 0, peak = 0;
  for (let at = 0; at < size; at++) {
    if (lastUse[at] >= 0 && !joined(at)) held += 1;
    peak = Math.max(peak, held);
    if (freed[at] && !joined(source[at] * sites + at % sites)) held -= 1;
  }
  return peak;
}

// Counts and MACs; without a MAC table every block costs one and the rest nothing.
function tallyOf({steps, sites, cells, keep}, siteMacs, restMacs, routed) {
  const counts = {"1": 0, "0": 0, "-1": 0};
  const byStep = new Float64Array(steps).fill(restMacs), bySite = new Float64Array(sites);
  for (let step = 0; step < steps; step++) {
    for (let site = 0; site < sites; site++) {
      const cell = cells[step * sites + site];
      counts[cell] += 1;
      if (cell !== COMPUTE) continue;
      const macs = siteMacs[site] * macsShare(routed, keep[step * sites + site], site);
      byStep[step] += macs; bySite[site] += macs;
    }
  }
  const stepFull = restMacs + siteMacs.reduce((sum, macs) => sum + macs, 0);
  const macs = byStep.reduce((sum, value) => sum + value, 0);
  return {counts, byStep, bySite, stepFull, macs, full: steps * stepFull, share: macs / (steps * stepFull)};
}

// Predicted squared error of one cell, as core.sensitivity: by the age of a cached cell, or of skipping it.
function errorOf(sensitivity, step, site, cell, age) {
  if (cell === SKIP) return sensitivity.skipped[step][site];
  if (cell !== CACHE) return 0;
  const known = sensitivity.cached.length;
  if (!known) return 0;
  return sensitivity.cached[Math.min(age, known) - 1][step][site] * Math.max(1, (age / known) ** 2);
}

function predictedError({steps, sites, cells}, ages, sensitivity) {
  let total = 0;
  for (let at = 0; at < cells.length; at++) total += errorOf(sensitivity, Math.floor(at / sites), at % sites, cells[at], ages[at]);
  return total;
}

// As core.sensitivity: 1 is full depth; the root mean square error of all cells is what is missing.
function closenessOf(table, ages, sensitivity) {
  return Math.max(0, 1 - Math.sqrt(predictedError(table, ages, sensitivity) / table.cells.length));
}

// Age that each cell has, or would have if it were cached in this policy; 0 where nothing is computed before it.
function agesIfCached({steps, sites, cells}) {
  const ages = new Int16Array(steps * sites);
  for (let site = 0; site < sites; site++) {
    let last = -1;
    for (let step = 0; step < steps; step++) {
      const at = step * sites + site;
      if (last >= 0) ages[at] = step - last;
      if (cells[at] === COMPUTE) last = step;
    }
  }
  return ages;
}

function withUnit(value, unit) {
  const scales = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  for (const [size, prefix] of scales) if (value >= size) return (value / size).toPrecision(3) + " " + prefix + unit;
  return Math.round(value) + " " + unit;
}
