// Lines of code as text, with a button that copies them.
const code = element.querySelector("code"), copy = element.querySelector(".co-copy");
function show() { code.textContent = typeof props.value === "string" ? props.value : ""; }
copy.addEventListener("click", async () => {
  try { await navigator.clipboard.writeText(code.textContent); copy.textContent = "Copied"; } catch (error) { window.getSelection().selectAllChildren(code); copy.textContent = "Selected"; }
  setTimeout(() => { copy.textContent = "Copy"; }, 1500);
});
watch("value", show);
setTimeout(show, 0);
