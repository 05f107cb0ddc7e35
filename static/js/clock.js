// The server's clock, as far as this page knows it; and what counts on.

import { age, duration, left } from "./format.js";

let offset = 0; // ms that the server is ahead

/** Take in the server's time of a message that has just come. */
export function heard(iso) {
  const ahead = Date.parse(iso) - Date.now();
  // A message is never early: the least delayed one tells the time best.
  if (offset === 0 || ahead > offset || Math.abs(ahead - offset) > 2000) offset = ahead;
}

export const now = () => Date.now() + offset;

/** Bring every counting duration, every countdown and every age up to date. */
export function tick(root = document) {
  const at = now();
  for (const counting of root.querySelectorAll("[data-since]")) {
    write(counting, duration(Math.max(0, (at - Date.parse(counting.dataset.since)) / 1000)));
  }
  for (const element of root.querySelectorAll("time[data-left]")) {
    write(element, left((Date.parse(element.dateTime) - at) / 1000));
  }
  for (const element of root.querySelectorAll("time[data-age]")) {
    const text = age((at - Date.parse(element.dateTime)) / 1000);
    if (text) write(element, text);
  }
}

/** Show times of day in this browser's zone: the server knows it only from the second page on. */
export function localise(root) {
  for (const element of root.querySelectorAll("time[data-clock]")) {
    write(element, clock(element.dateTime, element.dataset.clock));
  }
}

/** A time of day, to the minute (m), the second (s) or the millisecond (ms). */
export function clock(iso, to = "s") {
  const at = new Date(iso);
  const two = (number) => String(number).padStart(2, "0");
  const parts = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two);
  if (to === "m") return parts.slice(0, 2).join(":");
  const seconds = parts.join(":");
  return to === "ms" ? `${seconds}.${String(at.getMilliseconds()).padStart(3, "0")}` : seconds;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
