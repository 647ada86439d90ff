// Painting of the grid on its two canvases: cells, runs, bars and labels below; cursor, selection and flashes above.
const TOKENS = ["surface", "sunken", "line", "line-strong", "ink", "ink-soft", "ink-faint", "compute", "compute-ink",
  "compute-soft", "cache", "cache-ink", "skip-line", "skip-ink"];

function readTokens(element) {
  const style = getComputedStyle(element), tokens = {};
  for (const name of TOKENS) tokens[name] = style.getPropertyValue("--m-" + name).trim() || "gray";
  tokens.similarity = style.getPropertyValue("--m-similarity").split(" ").filter(Boolean);
  tokens.macs = style.getPropertyValue("--m-macs").split(" ").filter(Boolean);
  tokens.font = style.getPropertyValue("--m-font") || "sans-serif";
  return tokens;
}

// Where everything lies, in CSS pixels. Steps run along x, block 0 is at the bottom.
function layoutOf(width, steps, sites, labelWidth, dense) {
  const barX = dense ? 30 : 52, top = dense ? 30 : 46, gapBars = 8, bottom = 40, left = labelWidth + 22;
  const room = Math.max(60, width - left - barX - gapBars - 2);
  const cellW = Math.min(34, room / steps);
  const cellH = Math.max(5, Math.min(26, Math.max(cellW * 0.86, 11), 430 / sites));
  const gridW = cellW * steps, gridH = cellH * sites;
  return {left, top, cellW, cellH, gridW, gridH, barX, barY: top - gapBars, gapBars, bottom, steps, sites,
    width, height: Math.ceil(top + gridH + bottom)};
}

function cellBox(at, view) {
  const x0 = Math.round(view.left + at.step * view.cellW), x1 = Math.round(view.left + (at.step + 1) * view.cellW);
  const y0 = Math.round(view.top + (view.sites - 1 - at.site) * view.cellH);
  const y1 = Math.round(view.top + (view.sites - at.site) * view.cellH);
  return {x: x0, y: y0, w: x1 - x0, h: y1 - y0};
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

function between(colours, share) {
  const place = Math.max(0, Math.min(1, share)) * (colours.length - 1), low = Math.min(Math.floor(place), colours.length - 2);
  const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const a = parts(colours[low]), b = parts(colours[low + 1]);
  return "rgb(" + a.map((v, i) => Math.round(v + (b[i] - v) * (place - low))).join(",") + ")";
}

// Ink that can be read on a shade of an overlay.
function inkOn(shade) {
  const [r, g, b] = shade.startsWith("#") ? [1, 3, 5].map((i) => parseInt(shade.slice(i, i + 2), 16)) : shade.match(/\d+/g).map(Number);
  return 0.3 * r + 0.59 * g + 0.11 * b > 128 ? "black" : "white";
}

function drawCells(context, table, view, tokens, overlay) {
  const {cellW, cellH} = view, small = Math.min(cellW, cellH);
  const gap = small >= 13 ? 2 : small >= 7 ? 1 : 0, radius = small >= 9 ? Math.min(4, small * 0.2) : 0;
  const joined = (step, site) => step >= 0 && step < table.steps && table.cells[step * table.sites + site] === CACHE;
  for (let site = 0; site < table.sites; site++) {
    for (let step = 0; step < table.steps; step++) {
      const cell = table.cells[step * table.sites + site], box = cellBox({step, site}, view);
      const before = cell === CACHE && step > 0 && table.cells[(step - 1) * table.sites + site] !== SKIP;
      const after = cell !== SKIP && joined(step + 1, site);
      const x = box.x + (before ? 0 : gap / 2), w = box.w - (before ? 0 : gap / 2) - (after ? 0 : gap / 2);
      const y = box.y + gap / 2, h = box.h - gap;
      const corners = [before ? 0 : radius, after ? 0 : radius, after ? 0 : radius, before ? 0 : radius];
      const shade = overlay ? overlay(step, site) : null;
      context.beginPath();
      if (cell === SKIP && !shade) {
        context.roundRect(x + 0.5, y + 0.5, w - 1, h - 1, radius);
        context.strokeStyle = tokens["skip-line"]; context.lineWidth = 1; context.stroke();
      } else {
        context.roundRect(x, y, w, h, corners);
        context.fillStyle = shade || (cell === COMPUTE ? tokens.compute : cell === CACHE ? tokens.cache : tokens.surface);
        context.fill();
      }
      if (small >= 6) drawMark(context, cell, box, {before, after, small, shade: shade ? inkOn(shade) : ""}, tokens);
    }
  }
}

// The mark tells the action without colour: a line that runs along a cached run, a cross in a skipped cell.
function drawMark(context, cell, box, {before, after, small, shade}, tokens) {
  const cx = box.x + box.w / 2, cy = box.y + box.h / 2;
  context.lineWidth = small >= 12 ? 1.5 : 1;
  context.lineCap = "round";
  context.beginPath();
  if (cell === CACHE) {
    context.strokeStyle = shade || tokens["cache-ink"];
    context.moveTo(before ? box.x : cx - box.w * 0.2, cy);
    context.lineTo(after ? box.x + box.w : cx + box.w * 0.08, cy);
    context.stroke();
    if (!after) {
      context.beginPath();
      context.arc(cx + box.w * 0.08, cy, Math.max(1.2, small * 0.1), 0, 7);
      context.fillStyle = context.strokeStyle; context.fill();
    }
  } else if (cell === SKIP) {
    const reach = Math.min(4, small * 0.17);
    context.strokeStyle = shade || tokens["skip-ink"];
    context.moveTo(cx - reach, cy - reach); context.lineTo(cx + reach, cy + reach);
    context.moveTo(cx + reach, cy - reach); context.lineTo(cx - reach, cy + reach);
    context.stroke();
  } else if (shade) {
    context.arc(cx, cy, Math.max(1.2, small * 0.12), 0, 7);
    context.fillStyle = shade; context.fill();
  }
}

// Bars of MACs: above each step and beside each block, with the outline of full depth behind.
function drawBars(context, tally, siteMacs, view, tokens) {
  const inset = Math.min(2, view.cellW * 0.12);
  for (let step = 0; step < view.steps; step++) {
    const box = cellBox({step, site: view.sites - 1}, view), full = view.barY - 6;
    const height = full * tally.byStep[step] / tally.stepFull;
    context.fillStyle = tokens.sunken; context.fillRect(box.x + inset, view.barY - full, box.w - 2 * inset, full);
    context.fillStyle = tokens["compute-soft"]; context.fillRect(box.x + inset, view.barY - height, box.w - 2 * inset, height);
    context.fillStyle = tokens.compute; context.fillRect(box.x + inset, view.barY - height, box.w - 2 * inset, 1.5);
  }
  const largest = Math.max(...siteMacs) * view.steps || 1, x = view.left + view.gridW + view.gapBars;
  for (let site = 0; site < view.sites; site++) {
    const box = cellBox({step: 0, site}, view), gap = Math.min(2, view.cellH * 0.12);
    const full = view.barX * siteMacs[site] * view.steps / largest, width = view.barX * tally.bySite[site] / largest;
    context.fillStyle = tokens.sunken; context.fillRect(x, box.y + gap, full, box.h - 2 * gap);
    context.fillStyle = tokens["compute-soft"]; context.fillRect(x, box.y + gap, width, box.h - 2 * gap);
    if (width > 0) { context.fillStyle = tokens.compute; context.fillRect(x + width - 1.5, box.y + gap, 1.5, box.h - 2 * gap); }
  }
}

function tickEvery(count, size, least) {
  return [1, 2, 4, 5, 10, 20, 25, 50, 100, 200].find((n) => n * size >= least) || count;
}

function drawLabels(context, labels, view, tokens) {
  context.font = "11px " + tokens.font;
  context.fillStyle = tokens["ink-faint"];
  context.textBaseline = "middle"; context.textAlign = "right";
  const everyBlock = tickEvery(view.sites, view.cellH, 13), everyStep = tickEvery(view.steps, view.cellW, 22);
  for (let site = 0; site < view.sites; site += everyBlock) {
    const box = cellBox({step: 0, site}, view);
    context.fillText(labels[site], view.left - 7, box.y + box.h / 2);
  }
  context.textAlign = "center"; context.textBaseline = "top";
  for (let step = 0; step < view.steps; step += everyStep) {
    const box = cellBox({step, site: 0}, view);
    context.fillText(String(step), box.x + box.w / 2, view.top + view.gridH + 6);
  }
  context.textAlign = "right"; context.textBaseline = "bottom";
  if (view.top > 40) context.fillText("MACs", view.left + view.gridW + view.gapBars + view.barX, view.barY + 1);
  context.textBaseline = "top";
  context.fillStyle = tokens["ink-soft"];
  const under = view.top + view.gridH + 23;
  context.textAlign = "left"; context.fillText("noise", view.left, under);
  context.textAlign = "right"; context.fillText("image", view.left + view.gridW, under);
  if (view.gridW > 170) { context.textAlign = "center"; context.fillText("step", view.left + view.gridW / 2, under); }
  context.save();
  context.translate(9, view.top + view.gridH / 2); context.rotate(-Math.PI / 2);
  context.textAlign = "center"; context.textBaseline = "middle"; context.fillText("block", 0, 0);
  context.restore();
}

// Fast things only: the cursor, the selected box and cells that were just changed.
function drawOver(context, marks, view, tokens, now) {
  for (const [at, {born, strong}] of marks.flashes) {
    const share = 1 - (now - born) / (strong ? 1400 : 700);
    if (share <= 0) { marks.flashes.delete(at); continue; }
    const box = cellBox({step: Math.floor(at / view.sites), site: at % view.sites}, view);
    context.globalAlpha = share; context.strokeStyle = tokens.ink; context.lineWidth = strong ? 2.5 : 1.5;
    context.strokeRect(box.x + 1, box.y + 1, box.w - 2, box.h - 2);
  }
  context.globalAlpha = 1;
  if (marks.box) {
    const a = cellBox({step: marks.box.step0, site: marks.box.site1}, view), b = cellBox({step: marks.box.step1, site: marks.box.site0}, view);
    context.strokeStyle = tokens.ink; context.lineWidth = 1.5; context.setLineDash([4, 3]);
    context.strokeRect(a.x + 0.5, a.y + 0.5, b.x + b.w - a.x - 1, b.y + b.h - a.y - 1);
    context.setLineDash([]);
  }
  if (marks.cursor) {
    const box = cellBox(marks.cursor, view);
    context.strokeStyle = tokens.surface; context.lineWidth = 4; context.strokeRect(box.x, box.y, box.w, box.h);
    context.strokeStyle = tokens.ink; context.lineWidth = 2; context.strokeRect(box.x, box.y, box.w, box.h);
  }
  if (marks.hover) {
    const box = cellBox(marks.hover, view), colour = tokens["ink-faint"];
    context.strokeStyle = colour; context.lineWidth = 1; context.strokeRect(box.x + 0.5, box.y + 0.5, box.w - 1, box.h - 1);
    context.fillStyle = colour; context.globalAlpha = 0.9;
    context.fillRect(box.x, view.top + view.gridH + 2, box.w, 2);
    context.fillRect(view.left - 4, box.y, 2, box.h);
    context.globalAlpha = 1;
  }
}
