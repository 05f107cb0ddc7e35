// A list that fetches itself anew, but never under the hands of somebody who decides.

const list = document.querySelector("[data-inbox]");

function changed(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.options) return [...field.options].some((option) => option.selected !== option.defaultSelected);
  return field.value !== field.defaultValue;
}

function deciding() {
  const fields = [...list.querySelectorAll(".decide :is(input:not([type=hidden]), select, textarea)")];
  const typed = fields.some((field) => field === document.activeElement || changed(field));
  return typed || list.querySelector("details[open], .banner.bad") !== null;
}

list.addEventListener("htmx:beforeRequest", (event) => deciding() && event.preventDefault());
list.addEventListener("htmx:beforeSwap", ({ detail }) => { if (deciding()) detail.shouldSwap = false; });
