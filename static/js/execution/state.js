// How fresh the page is, honestly.

const SHOWN = { live: "open", reconnecting: "connecting", polling: "polling", closed: "closed" };

/** Keep an element saying how the page is connected and when the server was last heard of. */
export function watch(element, page) {
  let state = "reconnecting";
  let last = null;
  const show = () => {
    const ended = page.hasAttribute("data-ended") && state === "live";
    const shown = SHOWN[state];
    element.dataset.state = shown;
    const word = element.dataset[ended ? "ended" : shown];
    element.textContent = last === null || ended || state === "closed" ? word : `${word} · ${updated(element, last)}`;
  };
  setInterval(() => document.hidden || show(), 100);
  show();
  return {
    say(next, detail) {
      state = next;
      if (detail?.at) last = performance.now();
      show();
    },
  };
}

function updated(element, last) {
  const seconds = (performance.now() - last) / 1000;
  return `${element.dataset.updated} ${seconds.toFixed(seconds < 10 ? 1 : 0)} s ${element.dataset.ago}`;
}
