// The inbox fetches itself anew, but never under the hands of somebody who decides.

const list = document.getElementById("asks");

function deciding() {
  const fields = [...list.querySelectorAll(".decide :is(input[type=text], textarea)")];
  const typed = fields.some((field) => field.value !== field.defaultValue || field === document.activeElement);
  return typed || list.querySelector("details[open], .banner.bad") !== null;
}

list.addEventListener("htmx:beforeRequest", (event) => deciding() && event.preventDefault());
list.addEventListener("htmx:beforeSwap", ({ detail }) => { if (deciding()) detail.shouldSwap = false; });
