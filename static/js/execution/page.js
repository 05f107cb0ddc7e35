// The page's address and the parts that are fetched again.

export const page = document.getElementById("execution");

const timers = new Map();
const last = new Map();

/** The address of a part, with the query of the page's own address. */
export function address(part) {
  return `${page.dataset.url}parts/${part}/${location.search}`;
}

/** Fetch a part again, at most once in `pause` ms, and never while somebody types or decides in it. */
export function refetch(part, pause) {
  const wait = Math.max(0, (last.get(part) ?? 0) + pause - performance.now());
  if (timers.has(part)) {
    if (wait > 0) return;
    clearTimeout(timers.get(part));
  }
  timers.set(part, setTimeout(() => { timers.delete(part); fetchNow(part); }, wait));
}

async function fetchNow(part) {
  const target = document.getElementById(`x-${part}`);
  if (target.querySelector("dialog:modal")) return void refetch(part, 1000);
  last.set(part, performance.now());
  const scrolls = [...target.querySelectorAll("*")].filter((each) => each.scrollTop || each.scrollLeft);
  const kept = scrolls.map((each) => [path(each), each.scrollTop, each.scrollLeft]);
  const opened = [...target.querySelectorAll("details")].map((each) => each.open);
  const same = target.dataset.of === location.search;
  await window.htmx.ajax("GET", address(part), { target, swap: "innerHTML" });
  target.dataset.of = location.search;
  if (!same) return;
  target.querySelectorAll("details").forEach((each, place) => { if (place in opened) each.open = opened[place]; });
  for (const [css, top, left] of kept) {
    const each = target.querySelector(css);
    if (each) Object.assign(each, { scrollTop: top, scrollLeft: left });
  }
}

function path(element) {
  return element.id ? `#${element.id}` : `.${[...element.classList].join(".")}` || element.tagName;
}

/** Change the address's query (null takes a key away) and fetch what it changes. */
export function change(query, parts) {
  const to = new URL(location.href);
  to.searchParams.delete("do");
  to.searchParams.delete("before");
  for (const [key, value] of Object.entries(query)) {
    if (value === null) to.searchParams.delete(key);
    else to.searchParams.set(key, value);
  }
  history.pushState(null, "", to);
  if ("node" in query) page.dataset.selected = query.node;
  if ("view" in query) page.dataset.view = query.view;
  for (const part of parts) refetch(part, 0);
}
