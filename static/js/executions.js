// The list of executions: j and k move, x selects, enter opens, r refreshes, / searches.

import { pick } from "./pick.js";

const list = document.getElementById("list");
const rows = () => [...list.querySelectorAll("a.row")];

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
    if (event.key !== "Escape") return;
    event.preventDefault(); // a browser would empty the field, and with it the list's filter
    return event.target.blur();
  }
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

const keys = {
  j: () => move(1),
  k: () => move(-1),
  x: () => pick(here()),
  r: () => refresh(),
  "/": () => document.getElementById("q").focus(),
};

function move(by) {
  const all = rows();
  const at = all.indexOf(here()?.querySelector("a.row"));
  all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))]?.focus();
}

const here = () => document.activeElement?.closest("#list tbody tr");

function refresh() {
  window.htmx.ajax("GET", location.href, { target: "#list" });
}

// Empty fields say nothing; they need not be in the address.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.elt.id !== "query") return;
  for (const [name, value] of [...detail.formData.entries()]) if (value === "") detail.formData.delete(name);
});

// The chips lead to addresses; the form follows them.
addEventListener("popstate", () => location.reload());
