// The log: lines as they come, following the end unless somebody reads further up.

import { clock, localise } from "../clock.js";
import { address, change, fetchHtml, page } from "./page.js";

const KEPT = 5000;
const LEVELS = ["debug", "info", "warning", "error"];
let following = true;
let unseen = 0;

const pane = () => document.getElementById("lines");

/** Listen to a log pane that has just been drawn. */
export function start() {
  following = true;
  unseen = 0;
  pane().scrollTop = pane().scrollHeight;
  pane().onscroll = () => {
    following = pane().scrollHeight - pane().scrollTop - pane().clientHeight < 24;
    if (following) unseen = 0;
    show();
  };
  document.getElementById("follow").onclick = () => { pane().scrollTop = pane().scrollHeight; };
  pane().querySelector("[data-earlier]")?.addEventListener("click", earlier);
  const form = document.getElementById("log-query");
  form.onsubmit = (event) => { event.preventDefault(); query(form); };
  form.level.onchange = () => query(form);
  form.q.onsearch = () => query(form);
  show();
}

function query(form) {
  const all = page.dataset.selected && !pane().dataset.node ? "all" : null;
  change({ level: form.level.value || null, q: form.q.value.trim() || null, log: all }, ["log"]);
}

/** Add the lines that the pane's filters let through. */
export function add(lines) {
  const list = document.getElementById("line-list");
  const wanted = lines.filter(fits).filter((line) => !list.querySelector(`[data-id="${line.id}"]`));
  if (!wanted.length) return;
  document.getElementById("no-lines").hidden = true;
  list.append(...wanted.map(element));
  while (list.children.length > KEPT) list.firstElementChild.remove();
  if (following) pane().scrollTop = pane().scrollHeight;
  else unseen += wanted.length;
  show();
}

function fits(line) {
  const { node, level, q } = pane().dataset;
  if (node && line.node !== node) return false;
  if (level && LEVELS.indexOf(line.level) < LEVELS.indexOf(level)) return false;
  return !q || line.message.toLowerCase().includes(q.toLowerCase());
}

function element(line) {
  const item = document.createElement("li");
  Object.assign(item.dataset, { id: line.id, level: line.level });
  const time = document.createElement("time");
  time.dateTime = line.at;
  time.textContent = clock(line.at, "ms");
  const part = (name, text) => Object.assign(document.createElement("span"), { className: name, textContent: text });
  const node = line.index === null ? line.node : `${line.node}[${line.index}]`;
  item.append(time, part("level", line.level), part("node", node), part("text", line.message));
  return item;
}

function show() {
  const button = document.getElementById("follow");
  button.hidden = following;
  document.getElementById("follow-count").textContent = unseen ? ` ${unseen}` : "";
}

async function earlier(event) {
  event.preventDefault();
  const to = new URL(address("lines"), location.href);
  to.searchParams.set("before", event.currentTarget.dataset.earlier);
  const html = await fetchHtml(to, "earlier");
  if (html === null) return;
  const part = new DOMParser().parseFromString(html, "text/html");
  const height = pane().scrollHeight;
  localise(part);
  document.getElementById("line-list").prepend(...part.querySelectorAll("#line-list > li"));
  const more = part.querySelector("[data-earlier]");
  if (more) pane().querySelector("[data-earlier]").dataset.earlier = more.dataset.earlier;
  else pane().querySelector("[data-earlier]").remove();
  pane().scrollTop += pane().scrollHeight - height;
}
