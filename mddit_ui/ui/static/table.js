// A table from plain values: click on a head sorts, the button of a row tells its key. Text is set as text.
const table = element.querySelector("table"), scroll = element.querySelector(".dt-scroll"), empty = element.querySelector(".dt-empty");
let sorted = null, down = true;

function make(tag, text, className) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (className) node.className = className;
  return node;
}
function ordered(rows) {
  if (sorted === null) return rows;
  const sign = down ? -1 : 1, of = (row) => row.cells[sorted] && row.cells[sorted][1];
  return [...rows].sort((one, other) => {
    const a = of(one), b = of(other);
    if (a === null || a === undefined) return 1;
    if (b === null || b === undefined) return -1;
    return sign * (typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b)) : a - b);
  });
}
function show() {
  const value = props.value || {}, rows = value.rows || [], head = value.head || [], words = new Set(value.text || []);
  const named = (list, name, className) => (list || []).includes(name) ? className : "";
  const classOf = (name) => [named(value.text, name, "dt-text"), named(value.minor, name, "dt-minor"), named(value.least, name, "dt-least")].filter(Boolean).join(" ");
  empty.textContent = rows.length ? "" : value.empty || "";
  scroll.style.display = rows.length ? "" : "none";
  const pictures = rows.some((row) => row.picture);
  const titles = head.map((name, index) => {
    const cell = make("th", "", classOf(name)), button = make("button", name);
    cell.scope = "col";
    if (sorted === index) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    button.type = "button";
    button.addEventListener("click", () => { down = sorted === index ? !down : !words.has(name); sorted = index; show(); });
    cell.append(button);
    return cell;
  });
  if (pictures) titles.unshift(make("td", ""));
  if (value.action) titles.push(make("td", ""));
  table.querySelector("thead tr").replaceChildren(...titles);
  table.querySelector("tbody").replaceChildren(...ordered(rows).map((row) => {
    const line = make("tr", "", row.mark ? "dt-mark" : "");
    if (pictures) {
      const cell = make("td", "", "dt-picture"), image = document.createElement("img");
      if (row.picture) { image.src = row.picture; image.alt = ""; cell.append(image); }
      line.append(cell);
    }
    row.cells.forEach((each, index) => line.append(make("td", each[0], classOf(head[index]))));
    if (value.action) {
      const cell = make("td"), button = make("button", value.action, "dt-go");
      button.type = "button";
      button.setAttribute("aria-label", value.action + " " + (row.cells[0] || [""])[0]);
      button.addEventListener("click", () => trigger("select", {key: row.key}));
      cell.append(button); line.append(cell);
    }
    return line;
  }));
}
watch("value", show);
setTimeout(show, 0);
