// The border between the canvas and the log: dragged, or moved with the arrow keys; kept for the next page.

const KEY = "igon7.split";
const bar = document.getElementById("x-split");
const body = bar.parentElement;

/** Let the border be moved. */
export function start() {
  put(Number(localStorage.getItem(KEY)) || 55);
  bar.onpointerdown = (event) => {
    event.preventDefault();
    bar.setPointerCapture(event.pointerId);
    bar.onpointermove = drag;
  };
  bar.onpointerup = bar.onpointercancel = () => { bar.onpointermove = null; };
  bar.ondblclick = () => put(55);
  bar.onkeydown = ({ key }) => {
    const by = { ArrowUp: -3, ArrowDown: 3 }[key];
    if (by) put(Number(bar.ariaValueNow) + by);
  };
}

function drag(event) {
  const { top, height } = body.getBoundingClientRect();
  put((100 * (event.clientY - top)) / height);
}

function put(percent) {
  const share = Math.round(Math.min(90, Math.max(10, percent)));
  body.style.setProperty("--split", `${share}fr`);
  body.style.setProperty("--rest", `${100 - share}fr`);
  bar.ariaValueNow = share;
  localStorage.setItem(KEY, share);
  dispatchEvent(new Event("resize")); // the graph fits itself anew
}
