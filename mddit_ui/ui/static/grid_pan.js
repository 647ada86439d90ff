// On a narrow screen the grid is wider than its panel, so that a finger hits a cell (grid.css); a slider moves it.
const scroller = document.createElement("div"), pan = document.createElement("input");
scroller.className = "pg-scroll"; stage.before(scroller); scroller.append(stage); scroller.after(pan);
Object.assign(pan, {type: "range", className: "pg-pan m-range", min: 0, max: 0, value: 0, hidden: true});
pan.setAttribute("aria-label", "Move the grid along its steps");
pan.addEventListener("input", (event) => { event.stopPropagation(); scroller.scrollLeft = Number(pan.value); });
scroller.addEventListener("scroll", () => { pan.value = scroller.scrollLeft; });
const sizes = new ResizeObserver(() => {
  const more = scroller.scrollWidth - scroller.clientWidth;
  pan.max = more; pan.value = scroller.scrollLeft; pan.hidden = more < 2;
});
sizes.observe(stage); sizes.observe(scroller);
stage.addEventListener("keyup", () => { // the cursor stays in sight
  if (pan.hidden || !state.cursor || !state.layout) return;
  const {x, w} = cellBox(state.cursor, state.layout), room = 24;
  if (x < scroller.scrollLeft + room) scroller.scrollLeft = x - room;
  else if (x + w > scroller.scrollLeft + scroller.clientWidth - room) scroller.scrollLeft = x + w + room - scroller.clientWidth;
});
