// Selecting executions in the list, for the bar that does something to all of them.

const list = document.getElementById("list");
const boxes = () => [...list.querySelectorAll("input[name=id]")];
const every = () => document.getElementById("pick-every");
const picked = () => boxes().filter((box) => box.checked);

/** Select a row, or no longer. */
export function pick(row) {
  const box = row?.querySelector("input[name=id]");
  if (!box) return;
  box.checked = !box.checked;
  show();
}

list.addEventListener("change", ({ target }) => {
  if (target.id === "pick-all") for (const box of boxes()) box.checked = target.checked;
  show();
});

list.addEventListener("click", ({ target }) => {
  if (!target.closest("#pick-none")) return;
  for (const box of list.querySelectorAll("input[type=checkbox]")) box.checked = false;
  show();
});

function show() {
  const chosen = picked();
  const bar = document.getElementById("bulk");
  if (!bar) return;
  const whole = every()?.checked;
  const all = document.getElementById("pick-all");
  all.checked = chosen.length > 0 && chosen.length === boxes().length;
  all.indeterminate = chosen.length > 0 && !all.checked;
  const said = bar.querySelector("output");
  said.textContent = whole ? "" : said.dataset.said.replace("%(count)d", chosen.length);
  // Where something else than these rows is meant, the dry run says what is possible.
  const here = new Set(chosen.map((box) => box.dataset.is));
  for (const verb of bar.querySelectorAll("button[name=verb]")) {
    const when = verb.dataset.when.split(" ");
    verb.disabled = !whole && !when.some((status) => here.has(status));
  }
  if (chosen.length) document.body.dispatchEvent(new Event("picked"));
}

// Nothing moves under the hand of who selects: while something is selected the list does not refresh itself.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.matches("[data-list]") && (picked().length || every()?.checked)) event.preventDefault();
});

// A browser that comes back to the page brings the ticks back, too.
addEventListener("pageshow", show);
