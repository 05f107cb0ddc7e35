// The graph: statuses as they change, zoom, and moving by arrow keys.

import { page } from "./page.js";

const ENDED = new Set(["succeeded", "recovered", "cancelled", "skipped", "failed", "upstream_failed"]);
const LOUDEST = ["failed", "upstream_failed", "attention", "blocked", "running", "retrying", "waiting", "ready"];
let zoom = 0; // 0: as large as fits, within what can be read

const svg = () => page.querySelector("#x-canvas svg.graph");
const word = (status) =>
  document.querySelector(`#statuses template[data-status="${status}"]`)?.content.textContent.trim() ?? status;

/** Paint one node as a frame says it is; `for` is whom a companion was called for. */
export function paint({ node, status, for: served, items }) {
  const name = CSS.escape(node);
  const card = svg()?.querySelector(`.gnode[data-node="${name}"]`);
  if (!card) return;
  const calls = JSON.parse(card.dataset.calls ?? "{}");
  if (served) {
    calls[served] = status;
    card.dataset.calls = JSON.stringify(calls);
  }
  const all = Object.values(calls);
  set(card, all.length ? overall(all) : status, all);
  if (items && card.dataset.items) count(card, items);
  const from = served ? `[data-from="${CSS.escape(served)}"]` : "";
  for (const edge of svg().querySelectorAll(`.gedge[data-to="${name}"]${from}`)) {
    edge.dataset.status = status;
    edge.classList.toggle("gcalled", Boolean(served) && status !== "skipped");
  }
}

// How far a map is: in numbers, and as a bar.
function count(card, { count: all, ok, failed }) {
  const said = `${(ok + failed).toLocaleString("en")} / ${all.toLocaleString("en")}`;
  const number = card.querySelector(".gcount");
  if (number) number.textContent = said;
  const title = card.querySelector("title");
  if (title) title.textContent += `, ${said}`;
  const room = Number(card.querySelector(".gcard").getAttribute("width")) - 44;
  let left = 34;
  for (const [status, some] of [["succeeded", ok], ["failed", failed]]) {
    const part = card.querySelector(`.gpart[data-status="${status}"]`);
    const width = some ? Math.max(3, (room * some) / all) : 0;
    part?.setAttribute("x", left);
    part?.setAttribute("width", width);
    left += width;
  }
}

/** Whether the picture has room for what a frame says: a call that no edge leads to is drawn by the server, and so is a
 * map whose items were not known. */
export function drawn({ node, status, for: served, items }) {
  if (svg() && items && !svg().querySelector(`.gnode[data-node="${CSS.escape(node)}"][data-items="${items.count}"]`)) {
    return !svg().querySelector(`.gnode[data-node="${CSS.escape(node)}"]`);
  }
  if (!svg() || !served || status === "skipped") return true;
  const name = CSS.escape(node);
  if (!svg().querySelector(`.gnode[data-node="${name}"]`)) return true;
  return svg().querySelector(`.gedge[data-from="${CSS.escape(served)}"][data-to="${name}"]`) !== null;
}

// Several statuses as one: the one to look at first, the way they ended when all have.
function overall(statuses) {
  const all = new Set(statuses);
  const loud = LOUDEST.find((status) => all.has(status));
  if (loud) return loud;
  return statuses.every((status) => ENDED.has(status)) ? [...ENDED].find((status) => all.has(status)) : "pending";
}

// Of a companion that was called several times: of how many of its calls.
function says(status, calls) {
  if (calls.length < 2) return word(status);
  const alike = calls.filter((each) => each === status).length;
  return alike === calls.length ? `${alike} × ${word(status)}` : `${word(status)} ${alike}/${calls.length}`;
}

function set(card, status, calls) {
  card.dataset.status = status;
  const shown = says(status, calls);
  const said = `${card.dataset.label} ${shown}`;
  const title = card.querySelector("title");
  if (title) title.textContent = said;
  const icon = card.querySelector(".gicon");
  icon?.setAttribute("href", icon.getAttribute("href").replace(/#.*/, `#status-${status}`));
  const text = card.querySelector(".gword");
  if (text) text.textContent = shown;
}

/** Count again how many cells of each block have ended. */
export function recount() {
  for (const block of svg()?.querySelectorAll(".gblock") ?? []) {
    const group = CSS.escape(block.dataset.group);
    const cells = [...svg().querySelectorAll(`.gnode[data-group="${group}"]`)].map((cell) => cell.dataset.status);
    if (!cells.length) continue;
    const done = cells.filter((status) => ENDED.has(status)).length;
    block.querySelector(".gcount").textContent = `${done.toLocaleString("en")} / ${cells.length.toLocaleString("en")}`;
    block.dataset.status = overall(cells);
    for (const edge of svg().querySelectorAll(`.gedge[data-to="${group}"]`)) edge.dataset.status = block.dataset.status;
  }
}

/** Fit the graph into its pane and listen to the buttons. */
export function start(same = false) {
  if (!same) setTimeout(reveal);
  if (!svg()) return;
  resize();
  page.querySelector("[data-zoom]").onclick = (event) => {
    const by = event.target.closest("[data-zoom-by]")?.dataset.zoomBy;
    if (!by) return;
    zoom = by === "fit" ? fits() : scale() * (by === "in" ? 1.25 : 0.8);
    resize();
  };
  svg().onkeydown = move;
}

// Scroll the selected node into its pane, and the window nowhere.
function reveal() {
  const pane = page.querySelector("#x-canvas :is(.graph-scroll, .pane-scroll)");
  const shown = pane?.querySelector('[aria-current="true"]')?.getBoundingClientRect();
  if (!shown) return;
  const room = pane.getBoundingClientRect();
  const down = shown.top < room.top || shown.bottom > room.bottom;
  const aside = shown.left < room.left || shown.left + 40 > room.right;
  if (down) pane.scrollTop += shown.top - room.top - room.height / 2;
  if (aside) pane.scrollLeft += shown.left - room.left - room.width / 3;
}

function fits() {
  const { width, height } = svg().viewBox.baseVal;
  const pane = svg().parentElement;
  return Math.min(1, pane.clientWidth / width, pane.clientHeight / height);
}

// Text smaller than this is not read; a larger graph scrolls until somebody asks for all of it.
const scale = () => zoom || Math.max(fits(), 0.72);

function resize() {
  const by = Math.min(2, Math.max(0.1, scale()));
  const { width, height } = svg().viewBox.baseVal;
  svg().setAttribute("width", Math.round(width * by));
  svg().setAttribute("height", Math.round(height * by));
}
addEventListener("resize", () => svg() && !zoom && resize());

// Left and right follow the edges, up and down stay in the column.
function move(event) {
  const here = event.target.closest(".gnode");
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!here || !way) return;
  event.preventDefault();
  const from = here.getBoundingClientRect();
  let best = null;
  for (const card of svg().querySelectorAll(".gnode")) {
    const to = card.getBoundingClientRect();
    const dx = to.x - from.x, dy = to.y - from.y;
    const along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
    if (along < 4) continue;
    const cost = along + 2 * aside;
    if (!best || cost < best.cost) best = { card, cost };
  }
  best?.card.focus();
}
