// Saved policies: small pictures of their grids, filtered here. Names, tags and facts are set as text, never as HTML.
const list = element.querySelector(".cd-list"), find = element.querySelector(".cd-find"), models = element.querySelector(".cd-model");
const only = element.querySelector(".cd-only input"), count = element.querySelector(".cd-count"), empty = element.querySelector(".cd-empty");

function make(tag, text, className) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (className) node.className = className;
  return node;
}
// Steps along x, blocks along y, the first block at the bottom: as in the grid.
function drawGrid(canvas, rows) {
  const style = getComputedStyle(element.querySelector(".cd")), paint = (name) => style.getPropertyValue("--m-" + name).trim();
  const colours = {"#": paint("compute"), "=": paint("cache"), ".": paint("surface")};
  const scale = window.devicePixelRatio || 1, width = Math.round((canvas.clientWidth || 190) * scale), height = Math.round(104 * scale);
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), pad = 6 * scale, steps = rows.length, sites = rows[0].length;
  const w = (width - 2 * pad) / steps, h = (height - 2 * pad) / sites, gap = Math.min(w, h) > 4 * scale ? scale : 0;
  rows.forEach((row, step) => {
    for (let site = 0; site < sites; site++) {
      context.fillStyle = colours[row[site]] || colours["."];
      context.fillRect(pad + step * w, height - pad - (site + 1) * h, w - gap, h - gap);
    }
  });
}
function wanted(card) {
  const text = find.value.trim().toLowerCase();
  return (!text || [card.title, ...card.tags].some((part) => part.toLowerCase().includes(text))) &&
    (!models.value || card.model === models.value) && (!only.checked || card.fits);
}
function makeCard(card, mine) {
  const item = make("li", "", "cd-card" + (card.fits ? " cd-fits" : "")), canvas = make("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Grid of " + card.title);
  const facts = make("ul", "", "cd-facts"), tags = make("div", "", "cd-tags"), actions = make("div", "", "cd-do");
  facts.append(...card.facts.map((fact) => make("li", fact)));
  tags.append(...card.tags.map((tag) => make("span", tag)));
  const load = make("button", "Load", "cd-load");
  load.type = "button";
  load.setAttribute("aria-label", "Load " + card.title);
  load.addEventListener("click", () => trigger("select", {key: card.key, do: "load"}));
  actions.append(load);
  if (mine) {
    const remove = make("button", "Delete", "cd-delete");
    remove.type = "button";
    remove.setAttribute("aria-label", "Delete " + card.title);
    let sure = null;
    remove.addEventListener("click", () => {
      if (sure) { clearTimeout(sure); sure = null; trigger("select", {key: card.key, do: "delete"}); return; }
      remove.textContent = "Really delete?";
      sure = setTimeout(() => { sure = null; remove.textContent = "Delete"; }, 4000);
    });
    actions.append(remove);
  }
  item.append(canvas, make("h3", card.title), facts, tags, actions);
  return [item, canvas];
}
function show() {
  const value = props.value || {}, cards = value.cards || [];
  const names = [...new Set(cards.map((card) => card.model).filter(Boolean))].sort(), before = models.value;
  models.replaceChildren(new Option("All models", ""), ...names.map((name) => new Option(name, name)));
  models.value = names.includes(before) ? before : "";
  const shown = cards.filter(wanted), made = shown.map((card) => makeCard(card, value.mine));
  list.replaceChildren(...made.map(([item]) => item));
  made.forEach(([, canvas], index) => drawGrid(canvas, shown[index].rows));
  count.textContent = cards.length ? shown.length + " of " + cards.length : "";
  empty.textContent = shown.length ? "" : cards.length ? "Nothing matches." : "Nothing saved yet; name the policy in the grid and press Save.";
}
for (const [box, kind] of [[find, "input"], [models, "change"], [only, "change"]]) box.addEventListener(kind, show);
watch("value", show);
const modes = new MutationObserver(() => { if (!element.isConnected) { modes.disconnect(); return; } show(); });
modes.observe(document.body, {attributes: true, attributeFilter: ["class"]});
let last = 0;
new ResizeObserver(() => { const width = Math.round(list.clientWidth); if (width && width !== last) { last = width; show(); } }).observe(list);
setTimeout(show, 0);
