// A node's status wherever it is shown: the graph, the list.

import { duration } from "../format.js";
import { page } from "./page.js";
import * as graph from "./graph.js";

/** Show what a frame says of a node. */
export function show(node) {
  graph.paint(node);
  const row = page.querySelector(`[data-node-row="${CSS.escape(node.node)}"][data-for="${CSS.escape(node.for ?? "")}"]`);
  if (!row) return;
  const cell = (name) => row.querySelector(`[data-cell="${name}"]`);
  cell("status").replaceChildren(badge(node.status));
  cell("attempt").textContent = node.attempt || "–";
  cell("duration").replaceChildren(took(node));
  // Why it does not move, the page has said itself; that holds until it moves.
  if (node.items) cell("progress").replaceChildren(...items(node, row));
  else if (node.status === "running" || node.status !== row.dataset.status) cell("progress").replaceChildren(...progress(node));
  row.dataset.status = node.status;
}

/** Return icon and word of a status; the page carries one of each. */
export function badge(status) {
  return document.querySelector(`#statuses template[data-status="${status}"]`).content.cloneNode(true);
}

function took(node) {
  if (node.duration_ms !== null) return document.createTextNode(duration(node.duration_ms / 1000));
  if (!node.started_at || node.finished_at) return document.createTextNode("–");
  const counting = document.createElement("span");
  counting.dataset.since = node.started_at;
  counting.textContent = "…";
  return counting;
}

function progress(node) {
  if (node.status !== "running" || !node.progress) return [];
  const bar = document.createElement("progress");
  Object.assign(bar, { max: 1, value: node.progress.fraction ?? 0 });
  const text = document.createElement("span");
  text.textContent = node.progress.text ?? "";
  const both = document.createElement("span");
  both.className = "progress";
  both.append(bar, text);
  return [both];
}

function items({ items: { count, ok, failed } }, row) {
  const link = row.querySelector('[data-cell="progress"] a') ?? document.createElement("span");
  link.textContent = `${(ok + failed).toLocaleString("en")} / ${count.toLocaleString("en")}`;
  if (!failed) return [link];
  const bad = badge("failed");
  return [link, " · ", bad, ` ${failed.toLocaleString("en")}`];
}

/** Mark the selected node in every pane; of a boundary's calls, the one that is `served`. */
export function mark(node, served = null) {
  page.dataset.selected = node;
  for (const each of page.querySelectorAll("#x-canvas [aria-current]:not(nav *)")) each.removeAttribute("aria-current");
  if (!node) return;
  const name = CSS.escape(node);
  const found = `#x-canvas :is(.gnode[data-node="${name}"], [data-node-row="${name}"], .t-row[data-node-link="${name}"])`;
  for (const each of page.querySelectorAll(found)) {
    if (!served || !each.dataset.for || each.dataset.for === served) each.setAttribute("aria-current", "true");
  }
}
