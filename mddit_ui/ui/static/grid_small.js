// Cells too small for rounded corners are nothing but rectangles. They are written as pixels, which are sharp on every screen:
// one line for each block, copied downwards, so that little is left to a script that is seldom run and never warm.
const SMALL = 9; // CSS pixels

function paintSmall(context, {steps, sites, cells, keep, carry}, joins, view, tokens, shade) {
  const {xs, ys, gapX, gapY, ratio, cellH} = view, left = Math.round(view.left * ratio), top = Math.round(view.top * ratio);
  const across = (x) => Math.max(0, Math.round(x * ratio) - left), down = (y) => Math.max(0, Math.round(y * ratio) - top);
  const width = Math.max(1, across(view.left + view.gridW)), height = Math.max(1, down(view.top + view.gridH));
  const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const fill = (colour, y0, y1, x0, x1) => { for (let y = y0; y < Math.min(height, y1); y++) pixels.fill(colour, y * width + x0, y * width + Math.min(width, x1)); };
  const edges = xs.map(across), starts = xs.map((x) => across(x + gapX / 2)), ends = xs.map((x) => across(x - gapX / 2));
  const mids = xs.map((x, step) => (x + xs[step + 1]) / 2), runFrom = mids.map((x) => across(x - 0.2 * view.cellW)), runTo = mids.map((x) => across(x + 0.08 * view.cellW));
  const dotFrom = mids.map((x) => across(view.snap(x - 1))), dotTo = mids.map((x) => across(view.snap(x - 1) + 2)), apart = carry === "output" ? 1.5 : 0;
  const ramp = shade && rampOf(shade.ramp, tokens), fills = ramp && ramp.fills.map(pixelOf), inks = ramp && ramp.inks.map(pixelOf);
  const [cache, compute, soft, cacheInk, skipInk] = ["cache", "compute", "compute-soft", "cache-ink", "skip-ink"].map((name) => pixelOf(tokens[name]));
  for (let site = 0; site < sites; site++) {
    const y0 = down(ys[site + 1] + gapY / 2), y1 = down(ys[site] - gapY / 2), middle = view.snap((ys[site] + ys[site + 1]) / 2 - 0.5);
    const lines = (apart ? [-apart, apart] : [0]).map((by) => [down(view.snap(middle + by)), down(view.snap(middle + by) + 1)]);
    const dot = [down(middle), down(middle + Math.min(2, cellH / 3))];
    for (let step = 0, at = site; step < steps; step++, at += sites) {
      const colour = shade ? fills[shade.places[at]] : cells[at] === COMPUTE ? compute : cells[at] === CACHE ? cache : 0;
      if (colour) pixels.fill(colour, y0 * width + (joinedBefore(joins, at, sites) ? edges : starts)[step], y0 * width + (joins[at] ? edges : ends)[step + 1]);
    }
    for (let y = y0 + 1; y < y1; y++) pixels.copyWithin(y * width, y0 * width, (y0 + 1) * width);
    for (let step = 0, at = site; step < steps; step++, at += sites) {
      if (cells[at] === COMPUTE) {
        if (keep[at] < 1 && !shade) fill(soft, y0, y1 - fullLines(y1 - y0, keep[at]), starts[step], ends[step + 1]);
      } else if (cellH >= 4 && cells[at] === CACHE) {
        const from = (joinedBefore(joins, at, sites) ? edges : runFrom)[step], to = joins[at] ? edges[step + 1] : runTo[step];
        for (const [start, end] of lines) fill(shade ? inks[shade.places[at]] : cacheInk, start, end, from, to);
      } else if (cellH >= 4) fill(shade ? inks[shade.places[at]] : skipInk, ...dot, dotFrom[step], dotTo[step]);
    }
  }
  context.putImageData(image, left, top);
}
const joinedBefore = (joins, at, sites) => at >= sites && joins[at - sites];
// Of a cell that computes some of its tokens, the lines that are full.
const fullLines = (all, share) => Math.max(1, Math.min(all - 1, Math.round(all * share)));

const PIXELS = new Map();
function pixelOf(colour) {
  if (!PIXELS.has(colour)) {
    const named = {black: [0, 0, 0], white: [255, 255, 255], gray: [128, 128, 128]}[colour];
    const [r, g, b] = named || (colour.startsWith("#") ? [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)) : colour.match(/[0-9]+/g).map(Number));
    PIXELS.set(colour, ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
  }
  return PIXELS.get(colour);
}
