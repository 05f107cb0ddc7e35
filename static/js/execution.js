// The live page of one execution.

import { heard, tick } from "./clock.js";
import { connect } from "./live.js";
import * as graph from "./execution/graph.js";
import * as log from "./execution/log.js";
import * as nodes from "./execution/nodes.js";
import { change, onDrawn, page, refetch } from "./execution/page.js";
import * as split from "./execution/split.js";
import { watch } from "./execution/state.js";

const url = page.dataset.url;
const live = watch(document.getElementById("x-live"), page);

split.start();
graph.start();
log.start();
tick();

connect({
  url: `/ws${url}`,
  pollUrl: `${url}frame/`,
  after: page.dataset.seq,
  line: page.dataset.line,
  onFrame: take,
  onState: (state, detail) => {
    if (detail?.at) heard(detail.at);
    live.say(state, detail);
  },
});

function take(frame) {
  heard(frame.at);
  if (frame.reset) return location.reload();
  for (const node of frame.nodes) nodes.show(node);
  if (frame.nodes.length) {
    graph.recount();
    refetch("header", 500);
    if (page.dataset.view === "timeline" || (page.dataset.view === "nodes" && frame.nodes.some(hasReason))) refetch("canvas", 1000);
    else if (frame.nodes.some((node) => !graph.drawn(node))) refetch("canvas", 500);
    const selected = page.dataset.selected;
    if (!selected) refetch("inspector", 1000);
    else if (frame.nodes.some((node) => node.node === selected || node.for === selected)) refetch("inspector", frame.nodes.some((node) => node.items) ? 1000 : 150);
    else if (document.querySelector("#x-inspector .reason")) refetch("inspector", 1000); // it may wait for another
  }
  log.add(frame.lines);
  const before = page.dataset.status;
  page.dataset.status = frame.status;
  explain(frame.why);
  if (before !== frame.status) moved(frame.status);
}

// What children do is in no log of their parent's: while some run, what is said of them is asked for.
setInterval(() => {
  if (document.hidden || !document.querySelector("[data-open-children]")) return;
  for (const part of ["header", "inspector"]) refetch(part, 0);
}, 3000);

// What the list of nodes says of a node that does not move comes from the server.
const hasReason = ({ status }) => !["pending", "ready", "running", "succeeded"].includes(status);

// A sentence that counts down does so by itself; another one brings its link and room with it.
function explain(why) {
  const shown = document.getElementById("x-why");
  if (!shown) return;
  // The frame tells times of day in the server's zone, and names it.
  const still = (sentence) =>
    sentence.replace(/\d+ (s|min|h)\b/, "").replace(/(\d{1,2} \S+, )?\d{1,2}:\d{2}( [A-Z]{2,5}\b)?/g, "");
  const counts = shown.querySelector("time") !== null;
  const same = counts ? still(shown.textContent) === still(why ?? "") : shown.textContent === (why ?? "");
  if (!same) refetch("header", 250);
}

function moved(status) {
  const ended = ["succeeded", "failed", "cancelled", "terminated"].includes(status);
  refetch("header", 0);
  refetch("canvas", 0);
  // The page opened on nothing in particular; now there is something to look at.
  if (ended && !page.dataset.selected) refetch("inspector", 0);
  const word = document.querySelector(`#statuses template[data-status="${status}"]`)?.content.textContent.trim();
  document.title = `${word} · ${page.dataset.name} · igon7`;
  const icon = { succeeded: "icon-succeeded", failed: "icon-failed" }[status] ?? (ended ? "icon" : "icon-running");
  document.getElementById("favicon").href = `${page.dataset.icons}${icon}.svg`;
  page.toggleAttribute("data-ended", ended);
}

// --- one selected node, shared by all panes and by the address ---

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = event.target.closest("[data-node-link], .gnode[data-node], [data-view-link], [data-log-scope], [data-group-link]");
  if (!link || !page.contains(link)) return;
  if (link.matches(".ggroup")) return;
  event.preventDefault();
  if (link.dataset.viewLink) return change({ view: link.dataset.viewLink }, ["canvas"]);
  if (link.dataset.logScope) return change({ log: link.dataset.logScope === "all" ? "all" : null }, ["log"]);
  if (link.dataset.groupLink) return change({ open: link.ariaExpanded === "true" ? null : link.dataset.groupLink }, ["canvas"]);
  select(link.dataset.nodeLink ?? link.dataset.node, link.dataset.for || null);
});

// `served` says which call of a boundary is meant that was called for several nodes.
function select(node, served = null) {
  if (node === page.dataset.selected && served === new URLSearchParams(location.search).get("for")) return;
  nodes.mark(node, served);
  change({ node, for: served, log: null }, ["inspector", "log"]);
}

addEventListener("popstate", () => {
  const query = new URLSearchParams(location.search);
  nodes.mark(query.get("node") ?? "", query.get("for"));
  page.dataset.view = query.get("view") ?? "graph";
  for (const part of ["canvas", "inspector", "log"]) refetch(part, 0);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog:modal")) return;
  if (event.target.matches("input, select, textarea")) return event.target.blur();
  select("");
});

onDrawn("canvas", graph.start);
onDrawn("log", log.start);
