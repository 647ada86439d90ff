// The server repairs what was painted and counts it with core's arithmetic; its word replaces the browser's.
check = async (edits, policy) => {
  const {rows, keep, carry} = policy;
  try {
    const answer = await server.confirm({model: content().model || "", measured: told.measured || "", rows, keep, carry});
    if (edits !== state.edits || !answer || !state.table) return;
    if (String(answer.rows) !== String(rows)) { props.value = {...content(), rows: answer.rows}; adopt(); trigger("input"); }
    fact("share").textContent = shareText(answer.share);
    fact("macs").textContent = withUnit(answer.macs, "MACs") + " of " + withUnit(answer.full, "MACs") + " per image";
    fact("memory").textContent = answer.peak_bytes ? withUnit(answer.peak_bytes, "B") : "none";
    if (answer.closeness !== null) fact("closeness").textContent = shareText(answer.closeness);
    root.dataset.checked = "true";
    root.dataset.confirmed = String(edits);
  } catch (error) { /* the page shows lost connections itself; the numbers stay marked as not checked */ }
};
