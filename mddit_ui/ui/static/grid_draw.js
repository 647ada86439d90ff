// Painting of the grid on its two canvases: cells, runs, locks, bars and labels below; cursor, selection and flashes above.
const TOKENS = ["surface", "sunken", "line", "line-strong", "ink", "ink-soft", "ink-faint", "compute", "compute-ink",
  "compute-soft", "cache", "cache-ink", "skip-line", "skip-ink"];
const LABEL = "11px ", LABEL_BOLD = "600 11px ", LINE = 14;

function readTokens(element) {
  const style = getComputedStyle(element), tokens = {};
  for (const name of TOKENS) tokens[name] = style.getPropertyValue("--m-" + name).trim() || "gray";
  for (const name of ["similarity", "macs"]) tokens[name] = style.getPropertyValue("--m-" + name).split(" ").filter(Boolean);
  tokens.font = style.getPropertyValue("--m-font") || "sans-serif";
  tokens.ramps = {};
  return tokens;
}

// Where everything lies, in CSS pixels on whole device pixels. Steps run along x, block 0 is at the bottom.
function layoutOf(width, steps, sites, labelWidth, hasTimesteps, ratio, skips = 0) {
  const snap = (value) => Math.round(value * ratio) / ratio, dense = width < 460;
  const skipGap = Math.max(1.5, Math.min(4, (dense ? 18 : 30) / Math.max(skips, 1))), skipW = skips ? Math.ceil(skipGap * skips) + 9 : 0;
  const barX = dense ? 30 : 52, top = dense ? 30 : 46, gapBars = 8, left = Math.ceil(labelWidth) + 23 + skipW;
  const room = Math.max(60, width - left - barX - gapBars - 2);
  const cellW = Math.min(34, room / steps), cellH = Math.max(5, Math.min(26, Math.max(cellW * 0.86, 11), 430 / sites));
  const gridW = snap(cellW * steps), gridH = snap(cellH * sites), bottom = 8 + LINE * (hasTimesteps ? 3 : 2);
  const xs = Array.from({length: steps + 1}, (_, step) => snap(left + step * cellW));
  const ys = Array.from({length: sites + 1}, (_, site) => snap(top + (sites - site) * cellH)); // ys[site] is the lower edge
  return {left, top, labelX: left - 7 - skipW, skipGap, cellW, cellH, gridW, gridH, barX, barY: top - gapBars, gapBars, steps, sites, xs, ys, ratio, small: Math.min(cellW, cellH),
    gapX: cellW >= 13 ? 2 : cellW >= 5 ? 1 : 0, gapY: cellH >= 13 ? 2 : cellH >= 4 ? 1 : 0, snap, hasTimesteps, width, height: Math.ceil(top + gridH + bottom)};
}

function cellBox({step, site}, view) {
  return {x: view.xs[step], y: view.ys[site + 1], w: view.xs[step + 1] - view.xs[step], h: view.ys[site] - view.ys[site + 1]};
}
function boxFrame(box, view) {
  return [view.xs[box.step0], view.ys[box.site1 + 1], view.xs[box.step1 + 1] - view.xs[box.step0], view.ys[box.site0] - view.ys[box.site1 + 1]];
}

function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    canvas.style.width = width + "px"; canvas.style.height = height + "px";
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// Cells that are joined to the next one: a residual is computed once and runs through the cached cells after it.
function joinsOf({steps, sites, cells}) {
  const joins = new Uint8Array(cells.length);
  for (let at = 0; at < (steps - 1) * sites; at++) joins[at] = Number(cells[at] !== SKIP && cells[at + sites] === CACHE);
  return joins;
}

// Cells of one action in one pass; cached cells that are joined are one rectangle, so that a run is seen as a run.
function drawCells(context, table, joins, view, tokens) {
  const {steps, sites, cells, keep} = table, {xs, ys, gapX, gapY} = view, radius = Math.min(4, view.small * 0.2);
  const fills = {[COMPUTE]: tokens.compute, [CACHE]: tokens.cache, [SKIP]: tokens["skip-line"]};
  for (const action of [COMPUTE, CACHE, SKIP]) {
    context.fillStyle = context.strokeStyle = fills[action];
    context.lineWidth = 1;
    for (let site = 0; site < sites; site++) {
      const y = ys[site + 1] + gapY / 2, h = ys[site] - gapY / 2 - y;
      for (let step = 0; step < steps; step++) {
        const first = step * sites + site;
        if (cells[first] !== action) continue;
        let at = first;
        if (action === CACHE) while (joins[at]) { at += sites; step += 1; }
        const before = joinedBefore(joins, first, sites), after = joins[at];
        const x = xs[(first - site) / sites] + (before ? 0 : gapX / 2), w = xs[step + 1] - (after ? 0 : gapX / 2) - x;
        if (action === COMPUTE && keep[first] < 1) drawPart(context, x, y, w, h, radius, keep[first], tokens);
        else if (action === SKIP) { context.beginPath(); context.roundRect(x + 0.5, y + 0.5, w - 1, h - 1, radius); context.stroke(); }
        else if (before && after) context.fillRect(x, y, w, h);
        else { context.beginPath(); context.roundRect(x, y, w, h, [before ? 0 : radius, after ? 0 : radius, after ? 0 : radius, before ? 0 : radius]); context.fill(); }
      }
    }
  }
  drawMarks(context, table, joins, view, null, tokens);
}
// A cell that computes some of its tokens is full up to that share.
function drawPart(context, x, y, w, h, radius, share, tokens) {
  const level = fullLines(h, share), rest = Math.max(0, radius + level - h);
  context.fillStyle = tokens["compute-soft"]; context.beginPath(); context.roundRect(x, y, w, h, radius); context.fill();
  context.fillStyle = tokens.compute; context.beginPath(); context.roundRect(x, y + h - level, w, level, [rest, rest, radius, radius]); context.fill();
}

// A shade a cell, in the shape that its action has.
function drawShades(context, table, joins, view, tokens, shade) {
  const {sites, cells} = table, {xs, ys, gapX, gapY} = view, ramp = rampOf(shade.ramp, tokens);
  for (let at = 0; at < cells.length; at++) {
    const site = at % sites, step = (at - site) / sites, x = xs[step] + (joinedBefore(joins, at, sites) ? 0 : gapX / 2), y = ys[site + 1] + gapY / 2;
    context.fillStyle = ramp.fills[shade.places[at]];
    context.fillRect(x, y, xs[step + 1] - (joins[at] ? 0 : gapX / 2) - x, ys[site] - gapY / 2 - y);
  }
  drawMarks(context, table, joins, view, (at) => ramp.inks[shade.places[at]], tokens);
}

// The marks tell the actions without colour: a line that runs along a cached run (a double one where it hands on an output), a
// cross in a skipped cell (a dot where cells are small); over shades also a disc in a computed cell, a ring where that is on some
// tokens only.
function drawMarks(context, {sites, cells, keep, carry}, joins, view, inkOf, tokens) {
  const {small, xs, ys} = view, thick = small >= 12 ? 1.5 : 1, dot = Math.max(1.2, small * 0.1), reach = Math.min(4, small * 0.17);
  const apart = carry === "output" ? Math.max(1.5, Math.min(3, small * 0.13)) : 0;
  const usual = {[CACHE]: tokens["cache-ink"], [SKIP]: tokens["skip-ink"], [COMPUTE]: null};
  context.lineCap = "round"; context.lineWidth = thick;
  const disc = (x, y, radius) => { context.beginPath(); context.arc(x, y, radius, 0, 7); context.fill(); };
  for (let at = 0; at < cells.length; at++) {
    const action = cells[at], ink = inkOf ? inkOf(at) : usual[action];
    if (!ink) continue;
    const site = at % sites, step = (at - site) / sites, x = xs[step], w = xs[step + 1] - x, cx = x + w / 2;
    const cy = view.snap((ys[site] + ys[site + 1]) / 2 - thick / 2);
    context.fillStyle = context.strokeStyle = ink;
    if (action === CACHE) {
      const from = joinedBefore(joins, at, sites) ? x : cx - w * 0.2, to = joins[at] ? x + w : cx + w * 0.08;
      if (!apart) context.fillRect(from, cy, to - from, thick);
      else for (const line of [-apart, apart]) context.fillRect(from, view.snap(cy + line), to - from, Math.min(thick, 1));
      if (!joins[at] && !apart) disc(to, cy + thick / 2, dot + 0.4);
      if (!joins[at] && apart) context.fillRect(to, view.snap(cy - apart - 1), 2, 2 * apart + 3);
    } else if (action === COMPUTE && keep[at] < 1) { context.beginPath(); context.arc(cx, cy + thick / 2, Math.max(1.8, small * 0.16), 0, 7); context.stroke(); }
    else if (action === COMPUTE) disc(cx, cy + thick / 2, Math.max(1.2, small * 0.12));
    else {
      context.beginPath();
      context.moveTo(cx - reach, cy - reach); context.lineTo(cx + reach, cy + reach);
      context.moveTo(cx + reach, cy - reach); context.lineTo(cx - reach, cy + reach);
      context.stroke();
    }
  }
}

// A line round every group of locked cells, and a small lock in its cells where they are large enough.
function drawLocks(context, {steps, sites, locks}, view, tokens) {
  if (!locks.includes(1)) return;
  const edges = new Path2D(), bodies = new Path2D(), bows = new Path2D(), open = (step, site) => step < 0 || site < 0 || step >= steps || site >= sites || !locks[step * sites + site];
  for (let at = 0; at < locks.length; at++) {
    if (!locks[at]) continue;
    const step = Math.floor(at / sites), site = at % sites, {x, y, w, h} = cellBox({step, site}, view);
    const line = (x0, y0, x1, y1) => { edges.moveTo(x0, y0); edges.lineTo(x1, y1); };
    if (open(step - 1, site)) line(x, y, x, y + h);
    if (open(step + 1, site)) line(x + w, y, x + w, y + h);
    if (open(step, site + 1)) line(x, y, x + w, y);
    if (open(step, site - 1)) line(x, y + h, x + w, y + h);
    if (view.small >= 14) {
      const left = x + w - 11, top = y + 8;
      bodies.rect(left, top, 7, 5); bows.moveTo(left + 1.5, top); bows.arc(left + 3.5, top - 1, 2, Math.PI, 0); bows.lineTo(left + 5.5, top);
    }
  }
  context.lineCap = "square";
  for (const [width, colour] of [[view.small >= SMALL ? 4 : 3, tokens.surface], [view.small >= SMALL ? 2 : 1.25, tokens.ink]]) {
    context.lineWidth = width; context.strokeStyle = colour; context.stroke(edges);
  }
  context.lineJoin = "round"; context.strokeStyle = tokens.surface; context.lineWidth = 3; context.stroke(bows); context.stroke(bodies);
  context.strokeStyle = context.fillStyle = tokens.ink; context.lineWidth = 1.2; context.stroke(bows); context.fill(bodies);
}

// Bars of MACs: above each step and beside each block, with the outline of full depth behind.
function drawBars(context, tally, siteMacs, view, tokens) {
  const inset = Math.min(2, view.cellW * 0.12), full = view.barY - 6, inset2 = Math.min(2, view.cellH * 0.12);
  const largest = Math.max(...siteMacs) * view.steps || 1, side = view.left + view.gridW + view.gapBars;
  const steps = (share, colour, thick) => {
    context.fillStyle = colour;
    for (let step = 0; step < view.steps; step++) {
      const height = full * share(step), x = view.xs[step] + inset, w = view.xs[step + 1] - inset - x;
      context.fillRect(x, view.barY - height, w, thick || height);
    }
  };
  const blocks = (share, colour, thick) => {
    context.fillStyle = colour;
    for (let site = 0; site < view.sites; site++) {
      const width = view.barX * share(site), y = view.ys[site + 1] + inset2, h = view.ys[site] - inset2 - y;
      if (width > 0) context.fillRect(thick ? side + width - thick : side, y, thick || width, h);
    }
  };
  const byStep = (step) => tally.byStep[step] / tally.stepFull, bySite = (site) => tally.bySite[site] / largest;
  steps(() => 1, tokens.sunken); steps(byStep, tokens["compute-soft"]); steps(byStep, tokens.compute, 1.5);
  blocks((site) => siteMacs[site] * view.steps / largest, tokens.sunken); blocks(bySite, tokens["compute-soft"]); blocks(bySite, tokens.compute, 1.5);
}

function tickEvery(count, size, least) {
  return [1, 2, 4, 5, 10, 20, 25, 50, 100, 200].find((n) => n * size >= least) || count;
}
// Timesteps run from about 1,000 down, or from about 1.
function timestepText(value, all) { return all[0] > 20 ? String(Math.round(value)) : value.toFixed(2); }

// A name that is too long for its place ends in three dots; the line below the grid has it in full.
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = text.length - 1;
  while (length > 1 && context.measureText(text.slice(0, length) + "…").width > width) length -= 1;
  return text.slice(0, length) + "…";
}
function centred(context, text, x, y, view) {
  const half = context.measureText(text).width / 2;
  context.fillText(text, Math.max(half + 1, Math.min(view.width - half - 1, x)), y);
}

function drawLabels(context, labels, timesteps, view, tokens) {
  context.font = LABEL + tokens.font; context.fillStyle = tokens["ink-faint"];
  context.textBaseline = "middle"; context.textAlign = "right";
  const everyBlock = tickEvery(view.sites, view.cellH, 13), wide = (text) => context.measureText(text).width;
  for (let site = 0; site < view.sites; site += everyBlock) {
    context.fillText(fitted(context, labels[site], view.labelX - 16), view.labelX, (view.ys[site] + view.ys[site + 1]) / 2);
  }
  const texts = view.hasTimesteps ? timesteps.map((value) => timestepText(value, timesteps)) : [];
  const everyStep = tickEvery(view.steps, view.cellW, Math.max(22, ...[String(view.steps), ...texts].map((text) => wide(text) + 7)));
  const under = view.top + view.gridH + 6;
  context.textBaseline = "top"; context.textAlign = "center";
  for (let step = 0; step < view.steps; step += everyStep) {
    const x = (view.xs[step] + view.xs[step + 1]) / 2;
    centred(context, String(step), x, under, view);
    if (texts.length) centred(context, texts[step], x, under + LINE, view);
  }
  context.fillStyle = tokens["ink-soft"]; context.textAlign = "right";
  const first = (view.xs[0] + view.xs[1]) / 2;
  for (const [row, [name, text]] of [["step", "0"], ...(texts.length ? [["t", texts[0]]] : [])].entries()) {
    const end = Math.min(view.left - 7, first - wide(text) / 2 - 5);
    if (end >= wide(name)) context.fillText(name, end, under + LINE * row);
  }
  const last = under + LINE * (texts.length ? 2 : 1);
  context.textAlign = "left"; context.fillText("noise", view.left, last);
  context.textAlign = "right"; context.fillText("image", view.left + view.gridW, last);
  const from = view.left + wide("noise") + 8, to = view.left + view.gridW - wide("image") - 8, middle = view.snap(last + 5) + 0.5;
  if (to - from > 24) {
    context.strokeStyle = tokens["line-strong"]; context.lineWidth = 1; context.beginPath();
    context.moveTo(from, middle); context.lineTo(to, middle); context.moveTo(to - 4, middle - 3); context.lineTo(to, middle); context.lineTo(to - 4, middle + 3); context.stroke();
  }
  context.textBaseline = "bottom"; context.textAlign = "right";
  if (view.top > 40) context.fillText("MACs", view.left + view.gridW + view.gapBars + view.barX, view.barY + 1);
  context.save();
  context.translate(9, view.top + view.gridH / 2); context.rotate(-Math.PI / 2);
  context.textAlign = "center"; context.textBaseline = "middle"; context.fillText("block", 0, 0);
  context.restore();
}

// Fast things only: the cursor, the selected box, and cells that were just changed ({cells, born, strong} each).
function drawOver(context, marks, labels, view, tokens, now) {
  for (const {cells, born, strong} of marks.flashes) {
    context.globalAlpha = marks.still ? 1 : Math.max(0, 1 - (now - born) / (strong ? 1400 : 700)) * (strong ? 1 : 0.55); context.strokeStyle = context.fillStyle = tokens.ink; context.lineWidth = 2;
    const few = strong || cells.length < 400, edge = view.small >= SMALL ? 2 : 1;
    for (const at of cells) {
      const {x, y, w, h} = cellBox({step: Math.floor(at / view.sites), site: at % view.sites}, view);
      if (few) context.strokeRect(x + edge / 2, y + edge / 2, w - edge, h - edge); else context.fillRect(x, y + h - edge, w, edge);
    }
  }
  context.globalAlpha = 1;
  if (marks.box) {
    const frame = boxFrame(marks.box, view);
    context.lineWidth = 4; context.strokeStyle = tokens.surface; context.strokeRect(...frame);
    context.lineWidth = 2; context.strokeStyle = tokens.ink; context.setLineDash([5, 3]); context.strokeRect(...frame); context.setLineDash([]);
  }
  const at = marks.cursor || marks.hover;
  if (!at) return;
  const {x, y, w, h} = cellBox(at, view);
  if (marks.cursor) {
    context.strokeStyle = tokens.surface; context.lineWidth = 5; context.strokeRect(x - 0.5, y - 0.5, w + 1, h + 1);
    context.strokeStyle = tokens.ink; context.lineWidth = 2.5; context.strokeRect(x - 0.5, y - 0.5, w + 1, h + 1);
  } else { context.strokeStyle = tokens.surface; context.lineWidth = 1.5; context.strokeRect(x + 0.75, y + 0.75, w - 1.5, h - 1.5); context.strokeStyle = tokens.ink; context.lineWidth = 1; context.strokeRect(x, y, w, h); }
  drawSkips(context, marks.skips, view, tokens.ink, at.site);
  context.font = LABEL_BOLD + tokens.font;
  const under = view.top + view.gridH, name = fitted(context, labels[at.site], view.labelX - 5), step = String(at.step), half = Math.max(11, context.measureText(step).width / 2 + 5);
  context.fillStyle = tokens.ink;
  context.beginPath(); context.roundRect(Math.max(0, Math.min(view.width - 2 * half, x + w / 2 - half)), under + 3, 2 * half, 16, 4);
  const long = context.measureText(name).width;
  context.roundRect(view.labelX - 4 - long, y + h / 2 - 8, long + 8, 16, 4); context.fill();
  context.fillStyle = tokens.surface; context.textAlign = "center"; context.textBaseline = "middle";
  context.fillText(step, Math.max(half, Math.min(view.width - half, x + w / 2)), under + 11.5);
  context.textAlign = "right"; context.fillText(name, view.labelX, y + h / 2 + 0.5);
}
