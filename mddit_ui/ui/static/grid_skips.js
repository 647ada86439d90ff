// Long skip branches: pairs of blocks [from, to], drawn at the left of the cells and told in words.
// Brackets between the labels and the cells: a long skip branch brings the output of a block to another, nested as they are.
function drawSkips(context, skips, view, colour, only) {
  const middle = (site) => view.snap((view.ys[site] + view.ys[site + 1]) / 2) + 0.5;
  const inner = [...skips].sort((a, b) => (a[1] - a[0]) - (b[1] - b[0])), end = view.left - 3, head = Math.min(3, view.cellH / 4);
  context.strokeStyle = context.fillStyle = colour; context.lineWidth = only === undefined ? 1 : 2; context.lineJoin = "round";
  inner.forEach(([from, to], depth) => {
    if (only !== undefined && only !== from && only !== to) return;
    const x = view.snap(end - 6 - view.skipGap * (depth + 1)) + 0.5, low = middle(from), high = middle(to), bend = Math.min(3, view.skipGap, (low - high) / 2);
    context.beginPath(); context.moveTo(end - 1, low); context.lineTo(x + bend, low); context.quadraticCurveTo(x, low, x, low - bend);
    context.lineTo(x, high + bend); context.quadraticCurveTo(x, high, x + bend, high); context.lineTo(end - head, high); context.stroke();
    context.beginPath(); context.arc(end - 1, low, Math.min(1.8, head), 0, 7); context.fill();
    context.beginPath(); context.moveTo(end + 1, high); context.lineTo(end - head - 1, high - head); context.lineTo(end - head - 1, high + head); context.fill();
  });
}
function skipText(site, {skips, labels}) {
  return skips.filter((pair) => pair.includes(site)).map(([from, to]) => site === from ? "to block " + labels[to] : "from block " + labels[from]).join(", ");
}
