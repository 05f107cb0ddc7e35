// The page's address, and the parts that are fetched again.

import { prepare } from "../app.js";

export const page = document.getElementById("execution");

// Which address each part was drawn for.
for (const part of ["header", "canvas", "log", "inspector"]) {
  document.getElementById(`x-${part}`).dataset.of = location.search;
}

const timers = new Map();
const last = new Map();
const flying = new Map();
const drawn = new Map(); // what each part calls when it has been drawn anew

/** Call back whenever a part has been drawn anew, with whether its address is the same as before. */
export function onDrawn(part, callback) {
  drawn.set(part, callback);
}

/** The address of a part, with the query of the page's own address. */
export function address(part) {
  return `${page.dataset.url}parts/${part}/${location.search}`;
}

/** Fetch a part again, at most once in `pause` ms, and never while somebody decides in it. */
export function refetch(part, pause) {
  const wait = Math.max(0, (last.get(part) ?? -Infinity) + pause - performance.now());
  if (timers.has(part)) {
    if (wait > 0) return;
    clearTimeout(timers.get(part));
  }
  timers.set(part, setTimeout(() => { timers.delete(part); replace(part); }, wait));
}

/** Whether somebody is about to decide something here: a dialog is open, or what they have typed would be lost. */
function deciding(target) {
  if (target.querySelector("dialog:modal")) return true;
  const fields = [...target.querySelectorAll(".decide :is(input[type=text], textarea)")];
  const typed = fields.some((field) => field.value !== field.defaultValue || field === document.activeElement);
  return typed && target.dataset.of === location.search;
}

async function replace(part) {
  const target = document.getElementById(`x-${part}`);
  if (deciding(target)) return void refetch(part, 1000);
  last.set(part, performance.now());
  const asked = location.search;
  const html = await fetchHtml(address(part), part);
  if (html === null || asked !== location.search || deciding(target)) return;
  const same = target.dataset.of === asked;
  const restore = remember(target, same);
  target.innerHTML = html;
  target.dataset.of = asked;
  prepare(target);
  drawn.get(part)?.(same);
  restore();
}

/** Fetch HTML of this page; a newer request of the same kind takes an older one's place. Null when there is none. */
export async function fetchHtml(url, kind) {
  flying.get(kind)?.abort();
  const request = new AbortController();
  flying.set(kind, request);
  try {
    const answer = await fetch(url, { headers: { "HX-Request": "true" }, signal: request.signal });
    const login = answer.headers.get("HX-Redirect");
    if (login) location.assign(login);
    return answer.ok && answer.status !== 204 ? await answer.text() : null;
  } catch {
    return null; // aborted, or offline: what is shown stays, and the page says how old it is
  }
}

// What somebody has scrolled or opened stays as it is when its part is drawn again, and what has the focus keeps it
// when something else is drawn, too.
function remember(target, same) {
  const scrolled = [...target.querySelectorAll("*")].filter((each) => each.scrollTop || each.scrollLeft);
  const scrolls = scrolled.map((each) => [path(each), each.scrollTop, each.scrollLeft]);
  const opened = [...target.querySelectorAll("details")].map((each) => each.open);
  const focused = target.contains(document.activeElement) ? place(document.activeElement) : null;
  const focus = () => focused && target.querySelector(focused)?.focus({ preventScroll: true });
  if (!same) return focus;
  return () => {
    target.querySelectorAll("details").forEach((each, number) => { if (number in opened) each.open = opened[number]; });
    for (const [css, top, left] of scrolls) {
      const each = target.querySelector(css);
      if (each) Object.assign(each, { scrollTop: top, scrollLeft: left });
    }
    focus();
  };
}

function path(element) {
  return element.id ? `#${CSS.escape(element.id)}` : `${element.localName}${[...element.classList].map((name) => `.${name}`).join("")}`;
}

function place(element) {
  if (element.id) return path(element);
  for (const kind of ["node", "view", "group"]) {
    const link = element.dataset[`${kind}Link`];
    if (link !== undefined) return `[data-${kind}-link="${CSS.escape(link)}"]`;
  }
  return null;
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
