// What the cells can show instead of their actions: numbers from the browser's arithmetic and from the calibration, as shades.
const LEVELS = 64, NOTHING = LEVELS; // the last place of a ramp is for cells without a number
const NEEDS = {similarity: "similarity", caching: "sensitivity", skipping: "sensitivity"}; // what the server has to have sent
const percent = (share) => (100 * share < 0.095 ? (100 * share).toPrecision(1) : 100 * share < 9.95 ? (100 * share).toFixed(1) : (100 * share).toFixed(0)) + " %";

// Each: (table, facts) to {ramp, value(at) or NaN, log?, low?, high?, text}. Errors are shown as the share of the stream's size.
const SHADES = {
  age: (table) => { const ages = agesOf(table); return {ramp: "similarity", low: 0, value: (at) => ages[at] || NaN, text: (v) => v + (v === 1 ? " step" : " steps")}; },
  macs: (table, facts) => ({ramp: "macs", low: 0, value: (at) => table.cells[at] === COMPUTE ? facts.site_macs[at % table.sites] * macsShare(facts.routed, table.keep[at], at % table.sites) : 0, text: (v) => facts.counted ? v.toFixed(0) : withUnit(v, "MACs")}),
  similarity: (table, facts) => facts.similarity && {ramp: "similarity", high: 1, value: (at) => facts.similarity[Math.floor(at / table.sites)][at % table.sites] ?? NaN, text: (v) => v.toFixed(2)},
  caching: (table, facts) => {
    const ages = agesIfCached(table);
    return facts.sensitivity && {ramp: "macs", log: true, text: percent,
      value: (at) => ages[at] ? Math.sqrt(errorOf(facts.sensitivity, Math.floor(at / table.sites), at % table.sites, CACHE, ages[at])) : NaN};
  },
  skipping: (table, facts) => facts.sensitivity && {ramp: "macs", log: true, text: percent,
    value: (at) => Math.sqrt(facts.sensitivity.skipped[Math.floor(at / table.sites)][at % table.sites])},
};

// The shade of every cell: its place on the ramp; and the ends of the scale in words.
function shadeOf(name, table, facts) {
  const shade = SHADES[name] && SHADES[name](table, facts);
  if (!shade) return null;
  const size = table.cells.length, values = Float64Array.from({length: size}, (_, at) => shade.value(at));
  const known = values.filter((v) => !Number.isNaN(v) && (!shade.log || v > 0));
  let low = shade.low ?? known.reduce((a, b) => Math.min(a, b), Infinity), high = shade.high ?? known.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!known.length) { low = 0; high = 0; }
  const scaled = shade.log ? (v) => Math.log(Math.max(v, low)) : (v) => v, from = scaled(low), span = scaled(high) - from || 1;
  const places = Uint8Array.from(values, (v) => Number.isNaN(v) ? NOTHING : Math.max(0, Math.min(LEVELS - 1, Math.round((scaled(v) - from) / span * (LEVELS - 1)))));
  return {ramp: shade.ramp, places, low: known.length ? shade.text(low) : "none", high: known.length ? shade.text(high) : ""};
}

function between(colours, share) {
  const place = Math.max(0, Math.min(1, share)) * (colours.length - 1), low = Math.min(Math.floor(place), colours.length - 2);
  const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)), a = parts(colours[low]), b = parts(colours[low + 1]);
  return a.map((v, i) => Math.round(v + (b[i] - v) * (place - low)));
}

// The colours of a ramp, and the ink that can be read on each; made once a theme.
function rampOf(name, tokens) {
  if (!tokens.ramps[name]) {
    const parts = Array.from({length: LEVELS}, (_, i) => between(tokens[name], i / (LEVELS - 1)));
    tokens.ramps[name] = {fills: [...parts.map((rgb) => "rgb(" + rgb.join(",") + ")"), tokens.sunken],
      inks: [...parts.map(([r, g, b]) => 0.3 * r + 0.59 * g + 0.11 * b > 128 ? "black" : "white"), tokens["ink-faint"]]};
  }
  return tokens.ramps[name];
}
