// What every page does: theme, time, dialogs, menus, copying.

import { localise, tick } from "./clock.js";

const year = "; path=/; max-age=31536000; samesite=lax";
const root = document.documentElement;

// --- time ---

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `igon7_zone=${zone}${year}`;
tick();
setInterval(() => document.hidden || tick(), 1000);
document.addEventListener("visibilitychange", () => document.hidden || tick());

// --- theme: system, light, dark ---

const toggle = document.querySelector("[data-theme-toggle]");
const themes = ["system", "light", "dark"];

function showTheme() {
  const words = toggle.dataset[root.dataset.theme ?? "system"];
  toggle.querySelector(".label").textContent = words;
  toggle.title = words;
}

if (toggle) {
  showTheme();
  toggle.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? "system") + 1) % themes.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    document.cookie = `igon7_theme=${next}${year}`;
    showTheme();
  });
}

/** Bring the times of a part that has just been drawn up to date. */
export function prepare(part) {
  tick(part);
  localise(part);
}
prepare(document);
document.addEventListener("htmx:afterSwap", ({ detail }) => prepare(detail.target));

// --- clicks ---

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) return openDialog(event, opener);
  const closer = event.target.closest("[data-dialog-close]");
  if (closer) {
    event.preventDefault();
    return closer.closest("dialog").close();
  }
  const copied = event.target.closest("[data-copy]");
  if (copied) return copy(copied);
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

function openDialog(event, opener) {
  const dialog = document.getElementById(opener.dataset.dialog);
  if (!dialog) return;
  event.preventDefault();
  dialog.close();
  show(dialog);
  dialog.querySelector("input:not([type=hidden], [type=checkbox])")?.focus();
}

function show(dialog) {
  dialog.showModal();
  const told = dialog.querySelector("[data-foresee]");
  if (told) foresee(told);
}

// What the act would do, as the server tells it now.
async function foresee(told) {
  const response = await fetch(told.dataset.foresee);
  if (response.ok) told.innerHTML = await response.text();
  else told.remove();
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  const use = button.querySelector("use");
  const icon = use.getAttribute("href");
  use.setAttribute("href", icon.replace(/#.*/, "#check"));
  setTimeout(() => use.setAttribute("href", icon), 1200);
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// A form that was sent is not sent again by a second click.
document.addEventListener("submit", ({ target }) => {
  if (!target.matches("[data-once]")) return;
  setTimeout(() => target.querySelectorAll("button").forEach((button) => { button.disabled = true; }));
});
addEventListener("pageshow", () => {
  document.querySelectorAll("[data-once] button:disabled").forEach((button) => { button.disabled = false; });
});

// A dialog that the address asked for becomes a real one.
document.querySelector("dialog[open]")?.close();
const asked = new URLSearchParams(location.search).get("do");
const wanted = asked && document.getElementById(`dialog-${asked}`);
if (wanted) show(wanted);
