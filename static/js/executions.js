// The list of executions: j and k move, enter opens, r refreshes, / searches.

const list = document.getElementById("list");
const rows = () => [...list.querySelectorAll("a.row")];

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select")) {
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
  r: () => refresh(),
  "/": () => document.getElementById("q").focus(),
};

function move(by) {
  const all = rows();
  const here = all.indexOf(document.activeElement);
  all[here < 0 ? 0 : Math.min(all.length - 1, Math.max(0, here + by))]?.focus();
}

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
