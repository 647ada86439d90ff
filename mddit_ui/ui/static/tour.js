// Four steps round the page for a first visit. It blocks nothing: the page can be used while it is open.
const card = element.querySelector(".tr"), next = card.querySelector(".tr-next"), skip = card.querySelector(".tr-skip");
const STEPS = [
  ["#editor", "Paint the schedule", "Each cell is one block at one denoising step. Blue runs it, amber reuses what it gave last time, a cross skips it. Drag to paint: MACs follow."],
  ["#pair", "See what it does", "Generate makes the same seed with both policies: time, MACs, CLIP score and closeness stand below. Drag the divider."],
  ["#m-tabs", "Let a search do it", "Search looks for the best schedule within a budget, in a process of its own. Understand shows which cells are cheap to cache."],
  ["#copy-link", "Keep and share it", "A link holds everything on the page. Library saves policies, and has the lines of Python that use one elsewhere."],
];
let at = 0, lit = null;
const calmTour = window.matchMedia("(prefers-reduced-motion: reduce)");

function light(selector) {
  if (lit) { lit.style.outline = ""; lit.style.outlineOffset = ""; lit.style.borderRadius = ""; }
  lit = selector ? document.querySelector(selector) : null;
  if (!lit) return;
  Object.assign(lit.style, {outline: "2px solid var(--m-compute)", outlineOffset: "8px", borderRadius: "8px"});
  lit.scrollIntoView({block: "nearest", behavior: calmTour.matches ? "auto" : "smooth"});
}
function showStep() {
  const [selector, title, text] = STEPS[at];
  card.hidden = false;
  card.querySelector(".tr-count").textContent = (at + 1) + " of " + STEPS.length;
  card.querySelector("h2").textContent = title;
  card.querySelector(".tr-text").textContent = text;
  next.textContent = at + 1 < STEPS.length ? "Next" : "Done";
  skip.style.visibility = at + 1 < STEPS.length ? "" : "hidden";
  light(selector);
}
function end() {
  card.hidden = true;
  light(null);
  try { localStorage.setItem("mddit-tour", "done"); } catch (error) { /* private windows */ }
}
next.addEventListener("click", () => { if (at + 1 < STEPS.length) { at += 1; showStep(); } else end(); });
skip.addEventListener("click", end);
card.addEventListener("keydown", (event) => { if (event.key === "Escape") end(); });
document.addEventListener("mddit-tour", () => { at = 0; showStep(); next.focus(); });
let seen = true;
try { seen = localStorage.getItem("mddit-tour") === "done"; } catch (error) { /* then it is not shown */ }
if (!seen) {
  const waiting = setInterval(() => {
    if (!element.isConnected) { clearInterval(waiting); return; }
    if (document.querySelector('#editor .pg[data-ready="true"]')) { clearInterval(waiting); showStep(); }
  }, 300);
}
