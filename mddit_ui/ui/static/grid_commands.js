// Everything a person can do to the grid, once: buttons, keys and the list of keys are made from this table.
// Each: {keys, text, tip?, run(event), on?() for a choice that is made, able?(), look? also in a grid that only shows}.
const paintWith = (keys, text, tip, paint) => ({keys, text, tip, run: (event) => choosePaint(paint, event), on: () => state.paint === paint});
const strokeOf = (key, text, tip, shape) => ({keys: [key], text, tip, run: () => { state.shape = shape; refresh(); }, on: () => state.shape === shape});
const showing = (name, text, tip) => ({keys: [], text, tip, run: () => show(name), on: () => state.view === name, able: () => !NEEDS[name] || Boolean(facts()[NEEDS[name]]), look: true});
const selected = () => Boolean(state.box);

const COMMANDS = {
  compute: paintWith(["1"], "Compute", "run the block and refresh its residual", COMPUTE),
  cache: paintWith(["2"], "Cache", "add the last computed residual instead of running the block", CACHE),
  skip: paintWith(["3"], "Skip", "pass the input through unchanged", SKIP),
  "carry-residual": {keys: [], text: "Residual", tip: "a cached cell adds what its block last added to whatever comes in now", run: () => chooseCarry("residual"), on: () => state.table && state.table.carry === "residual"},
  "carry-output": {keys: [], text: "Output", tip: "a cached cell gives what its block last gave out, whatever comes in now, as Skip-Cache does", run: () => chooseCarry("output"), on: () => state.table && state.table.carry === "output"},
  carry: {keys: ["c"], text: "Cached cells reuse the other tensor", tip: "residual or output", run: () => chooseCarry(state.table.carry === "output" ? "residual" : "output")},
  more: {keys: ["+", "]"], text: "More tokens", tip: "computed cells of the selection, or those painted next, run on a larger share", run: () => stepShare(1), able: () => Boolean(facts().routed)},
  fewer: {keys: ["-", "["], text: "Fewer tokens", tip: "and on a smaller one", run: () => stepShare(-1), able: () => Boolean(facts().routed)},
  lock: paintWith(["4", "l"], "Lock", "cells that presets, searches and tools leave as they are; again to unlock", LOCK),
  apply: {keys: [" ", "Enter"], text: "Paint", tip: "the selection, or with the chosen shape at the cursor", run: applyStroke, able: () => Boolean(state.cursor || state.box)},
  brush: strokeOf("b", "Brush", "cell by cell", "brush"),
  box: strokeOf("r", "Rectangle", "fill a box; any shape does with Shift held", "box"),
  step: strokeOf("t", "Whole step", "fill a step over all blocks; or click its number", "step"),
  block: strokeOf("k", "Whole block", "fill a block over all steps; or click its name", "block"),
  flood: strokeOf("f", "Flood", "fill the neighbouring cells of the same action", "flood"),
  select: strokeOf("s", "Select", "drag a box; then paint it, or drag it along time", "select"),
  undo: {keys: ["ctrl+z"], text: "Undo", run: () => travel(state.undo, state.redo), able: () => state.undo.length > 0},
  redo: {keys: ["ctrl+y", "ctrl+shift+z"], text: "Redo", run: () => travel(state.redo, state.undo), able: () => state.redo.length > 0},
  every: {keys: ["n"], text: "Every n-th step", tip: "compute every n-th step of the selection, and cache (or skip) between",
    run: () => change((table) => everyNth(table, scope(), everyN(), state.paint === SKIP ? SKIP : CACHE))},
  earlier: {keys: ["alt+ArrowLeft"], text: "Shift earlier", tip: "move the selection one step towards noise", run: () => shiftBox(-1), able: () => selected() && state.box.step0 > 0},
  later: {keys: ["alt+ArrowRight"], text: "Shift later", tip: "move the selection one step towards the image", run: () => shiftBox(1), able: () => selected() && state.box.step1 < state.table.steps - 1},
  repeat: {keys: ["e"], text: "Repeat", tip: "copy the selected steps to all later steps", run: () => change((table) => repeatSteps(table, state.box)), able: () => selected() && state.box.step1 < state.table.steps - 1},
  mirror: {keys: ["m"], text: "Mirror in time", tip: "first step last", run: () => change((table) => mirror(table, scope(), false))},
  flip: {keys: ["shift+m"], text: "Mirror over depth", tip: "first block last", run: () => change((table) => mirror(table, scope(), true))},
  copy: {keys: ["ctrl+c"], text: "Copy", tip: "the selection, or the step of the cursor", run: copyCells, able: () => Boolean(state.box || state.cursor)},
  paste: {keys: ["ctrl+v"], text: "Paste", tip: "at the cursor", run: pasteCells, able: () => Boolean(state.clip)},
  unlock: {keys: ["u"], text: "Unlock", tip: "all cells of the selection", run: () => change((table) => paintBox(table, scope(), FREE)), able: () => Boolean(state.table && state.table.locks.includes(1))},
  all: {keys: ["ctrl+a"], text: "Select all", run: () => selectBox(wholeOf(state.table))},
  deselect: {keys: ["Escape"], text: "Clear the selection", tip: "or give up the stroke", run: () => { if (state.drag) finish(false); selectBox(null); }, able: () => Boolean(state.box || state.drag)},
  view: {keys: ["v"], text: "Show the next kind of number", run: () => show(nextView()), look: true},
  "show-actions": showing("actions", "Show actions"),
  "show-age": showing("age", "Show age", "steps since the residual of a cached cell was computed"),
  "show-macs": showing("macs", "Show MACs", "what each computed cell costs"),
  "show-similarity": showing("similarity", "Show similarity", "cosine with the step before, at full depth; measure it under Understand"),
  "show-caching": showing("caching", "Show the cost of caching", "predicted error if the cell were cached in this schedule; measure it under Understand"),
  "show-skipping": showing("skipping", "Show the cost of skipping", "predicted error if the cell were skipped; measure it under Understand"),
  png: {keys: [], text: "PNG", tip: "save the grid as a picture", run: savePicture, look: true},
  help: {keys: ["?"], text: "Tools and keys", run: toggleHelp, on: () => !root.querySelector(".pg-help").hidden, look: true},
};

const KEY_NAMES = {" ": "Space", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", ctrl: "Ctrl", alt: "Alt", shift: "Shift"};
const keyText = (chord) => chord === " " ? "Space" : chord.split("+").map((part) => KEY_NAMES[part] || (part.length === 1 ? part.toUpperCase() : part)).join("+");
const BY_KEY = Object.fromEntries(Object.entries(COMMANDS).flatMap(([name, command]) => command.keys.map((key) => [key, name])));

// "ctrl+shift+z"; Shift counts only where the key would be the same without it.
function chordOf(event) {
  const letter = event.key.length === 1, key = letter ? event.key.toLowerCase() : event.key, shift = event.shiftKey && (!letter || /[a-z]/.test(key));
  return (event.ctrlKey || event.metaKey ? "ctrl+" : "") + (event.altKey ? "alt+" : "") + (shift ? "shift+" : "") + key;
}
function can(name) {
  const command = COMMANDS[name];
  return Boolean(state.table) && (editable() || command.look) && (!command.able || command.able());
}
function run(name, event) { if (can(name)) COMMANDS[name].run(event); }

function dressButtons() {
  for (const button of root.querySelectorAll("[data-do]")) {
    const {text, tip, keys} = COMMANDS[button.dataset.do];
    button.title = text + (tip ? ": " + tip : "") + (keys.length ? " (" + keyText(keys[0]) + ")" : "");
    if (!button.textContent.trim() || button.textContent.trim() === "?") button.setAttribute("aria-label", text);
  }
  const list = root.querySelector(".pg-help dl"), pairs = [["Arrows, Home, End, Page", "Move the cursor; with Shift, select"]];
  for (const {text, tip, keys} of Object.values(COMMANDS)) if (keys.length) pairs.push([keys.map(keyText).join(", "), text + (tip ? ": " + tip : "")]);
  list.replaceChildren(...pairs.map(([keys, text]) => {
    const pair = document.createElement("div"), name = document.createElement("dt"), what = document.createElement("dd");
    name.textContent = keys; what.textContent = text; pair.append(name, what);
    return pair;
  }));
}
function refreshButtons() {
  for (const button of root.querySelectorAll("[data-do]")) {
    const command = COMMANDS[button.dataset.do];
    button.disabled = !can(button.dataset.do) && !(command.on && command.on());
    if (command.on) button.setAttribute(button.hasAttribute("aria-expanded") ? "aria-expanded" : "aria-pressed", String(command.on()));
  }
}
