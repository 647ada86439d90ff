
// A live grid asks the server what its search has found; the rest of the page hears of it by "change".
let pollTimer = null, pollSeen = -1, pollJob = "", pollAsking = false;
async function pollOnce() {
  if (!root.isConnected) { clearInterval(pollTimer); return; }
  const job = content().job;
  if (!job || pollAsking || document.visibilityState !== "visible") return;
  if (job !== pollJob) { pollJob = job; pollSeen = -1; }
  pollAsking = true;
  try {
    const news = await server.poll({job, seen: pollSeen});
    if (news && news.version !== undefined && news.version !== pollSeen && job === content().job) {
      pollSeen = news.version;
      const next = {...content(), ...news.grid, job, readonly: true};
      if (news.grid) adopt(next);
      requestAnimationFrame(() => setTimeout(() => { // the grid first, then the rest of the page
        if (news.grid) props.value = next;
        trigger("change", {version: news.version});
      }));
    }
  } catch (error) { /* the page shows lost connections itself */ }
  pollAsking = false;
}
pollTimer = setInterval(pollOnce, 1000);
pollOnce();
