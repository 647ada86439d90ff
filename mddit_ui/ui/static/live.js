
// A live grid asks the server what its search has found; the rest of the page hears of it by "change".
const EVERY = 1000, LONGEST = 10000; // ms between two questions; ms that the rest of the page may take to follow
let pollTimer = null, pollSeen = -1, pollJob = "", pollAsking = false, pollTold = -LONGEST;
const followed = () => { pollTold = -LONGEST; };
async function pollOnce() {
  const job = content().job;
  if (!job || pollAsking || document.visibilityState !== "visible") return;
  if (job !== pollJob) { pollJob = job; pollSeen = -1; followed(); }
  if (performance.now() - pollTold < LONGEST) return;
  pollAsking = true;
  try {
    const news = await server.poll({job, seen: pollSeen});
    if (news && news.version !== undefined && news.version !== pollSeen && job === content().job) {
      pollSeen = news.version;
      const next = {...content(), ...news.grid, job, readonly: true};
      if (news.grid) adopt(next);
      requestAnimationFrame(() => setTimeout(() => { // the grid first, then the rest of the page
        if (news.grid) props.value = next;
        pollTold = performance.now();
        trigger("change", {version: news.version});
      }));
    }
  } catch (error) { /* the page shows lost connections itself */ }
  pollAsking = false;
}
// The next question waits for the page to have followed, and to have nothing else to do: no chart is drawn when an answer comes.
const pollSoon = () => window.requestIdleCallback ? requestIdleCallback(pollOnce, {timeout: EVERY}) : pollOnce();
document.addEventListener("mddit-followed", followed);
pollTimer = setInterval(() => {
  if (root.isConnected) return pollSoon();
  clearInterval(pollTimer);
  document.removeEventListener("mddit-followed", followed);
}, EVERY);
pollOnce();
