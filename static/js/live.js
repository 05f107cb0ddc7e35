// What an execution does, as it happens: over a WebSocket, by polling where there is none.

const FIRST_DELAY = 300; // ms
const LONGEST_DELAY = 10_000;
const SILENCE = 12_000; // the server is heard of every 5 s
const STEADY = 5_000; // a socket that lived so long was a good one
const FAILURES_BEFORE_POLLING = 3;
const POLL_EVERY = 2_000;
const SOCKET_AGAIN_AFTER = 30_000;
const FULL_FRAME = 1_000; // events: there are more to fetch
const FINAL = new Set([4400, 4401, 4403, 4404]);

/**
 * Follow one execution. Each event and each log line is handed over once, across reconnects.
 *
 * url      WebSocket path or URL; pollUrl: where the same frame comes from by GET
 * after    the last event, `line` the last log line that the page already shows (0: none)
 * onFrame  called with each frame: {seq, line, at, status, why, events, nodes, lines, reset?}. With `reset` the page
 *          drops the events and lines that it shows: the frame has the last ones, not all since `after`
 * onState  called with ("live" | "reconnecting" | "polling" | "closed", {code, reason, delay, at}); `at` is the
 *          server's time whenever it was heard of. After "closed" nothing follows.
 *
 * Returns {close(), get seq(), get line()}.
 */
export function connect({ url, pollUrl, after = 0, line = 0, onFrame, onState = () => {} }) {
  const follower = new Follower({ url, pollUrl, after, line, onFrame, onState });
  follower.start();
  return {
    close: () => follower.end({ code: 1000, reason: "" }),
    get seq() { return follower.seq; },
    get line() { return follower.line; },
  };
}

class Follower {
  constructor({ url, pollUrl, after, line, onFrame, onState }) {
    Object.assign(this, { url, pollUrl, onFrame, onState, seq: Number(after) || 0, line: Number(line) || 0 });
    this.recent = new Set(); // lines after `line` that were handed over: they may be sent again
    this.failures = 0;
    this.state = null;
    this.ended = false;
    this.onVisible = () => (document.hidden ? this.pause() : this.start());
    this.onHide = () => this.pause();
    this.onShow = (event) => event.persisted && this.start();
    this.onOnline = () => this.retryNow();
    document.addEventListener("visibilitychange", this.onVisible);
    addEventListener("pagehide", this.onHide);
    addEventListener("pageshow", this.onShow);
    addEventListener("online", this.onOnline);
  }

  start() {
    if (this.ended || this.socket || this.timer || this.fetching || document.hidden) return;
    this.open();
  }

  // Nobody looks: the server need not work for this page. What was missed comes with the next start.
  pause() {
    this.stop();
    this.failures = 0;
  }

  stop() {
    clearTimeout(this.timer);
    clearTimeout(this.watchdog);
    this.fetching?.abort();
    const socket = this.socket;
    this.timer = this.watchdog = this.fetching = this.socket = null;
    socket?.close(1000);
  }

  end(detail) {
    if (this.ended) return;
    this.ended = true;
    this.stop();
    document.removeEventListener("visibilitychange", this.onVisible);
    removeEventListener("pagehide", this.onHide);
    removeEventListener("pageshow", this.onShow);
    removeEventListener("online", this.onOnline);
    this.say("closed", detail);
  }

  retryNow() {
    if (this.ended || this.socket || !this.timer) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.start();
  }

  // --- the socket ---

  open() {
    const socket = new WebSocket(this.at(this.url, true));
    this.socket = socket;
    let opened = 0;
    this.listen(SILENCE);
    socket.onopen = () => { opened = performance.now(); };
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.listen(SILENCE);
      const frame = JSON.parse(data);
      this.say("live", { at: frame.at });
      if ("seq" in frame) this.take(frame);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.socket) return;
      const steady = opened && performance.now() - opened >= STEADY;
      this.lost(code, reason, steady);
    };
  }

  listen(patience) {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.lost(1006, "silence", false), patience);
  }

  lost(code, reason, steady) {
    this.stop();
    if (FINAL.has(code)) return this.end({ code, reason });
    this.failures = steady ? 1 : this.failures + 1;
    if (this.pollUrl && this.failures >= FAILURES_BEFORE_POLLING) {
      this.socketAgainAt = performance.now() + SOCKET_AGAIN_AFTER;
      return this.poll();
    }
    const delay = this.delay();
    this.say("reconnecting", { code, reason, delay });
    this.later(delay, () => this.start());
  }

  // Somewhere in the upper half: a restarted server is not met by all pages at once.
  delay() {
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (this.failures - 1));
    return Math.round(longest * (0.5 + Math.random() / 2));
  }

  // --- polling ---

  async poll() {
    const asked = new AbortController();
    this.fetching = asked;
    const limit = setTimeout(() => asked.abort(), SILENCE);
    let next = POLL_EVERY;
    try {
      const answer = await fetch(this.at(this.pollUrl, false), {
        credentials: "same-origin", redirect: "manual", cache: "no-store", signal: asked.signal,
        headers: { Accept: "application/json" },
      });
      const code = refusal(answer);
      if (this.fetching !== asked) return;
      if (code) return this.end({ code, reason: answer.statusText });
      if (!answer.ok) throw new Error(`${answer.status}`);
      const frame = await answer.json();
      if (this.fetching !== asked) return;
      this.failures = FAILURES_BEFORE_POLLING;
      this.say("polling", { at: frame.at });
      this.take(frame);
      if (frame.events.length >= FULL_FRAME) next = 0;
    } catch (error) {
      if (this.fetching !== asked) return;
      this.failures += 1;
      next = Math.max(POLL_EVERY, this.delay());
      this.say("reconnecting", { code: 1006, reason: String(error.message ?? error), delay: next });
    } finally {
      clearTimeout(limit);
    }
    this.fetching = null;
    this.later(next, () => (performance.now() >= this.socketAgainAt ? this.socketAgain() : this.poll()));
  }

  // One failure leads back to polling.
  socketAgain() {
    this.failures = FAILURES_BEFORE_POLLING - 1;
    this.start();
  }

  // --- both ---

  later(delay, work) {
    this.timer = setTimeout(() => { this.timer = null; work(); }, delay);
  }

  at(address, socket) {
    const url = new URL(address, location.href);
    if (socket) url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("after", this.seq);
    url.searchParams.set("line", this.line);
    return url;
  }

  take(frame) {
    if (frame.reset) this.recent.clear();
    else {
      frame.events = frame.events.filter((event) => event.seq > this.seq);
      frame.lines = frame.lines.filter((line) => !this.recent.has(line.id));
    }
    this.remember(frame);
    this.seq = frame.seq;
    this.onFrame(frame);
  }

  remember(frame) {
    for (const line of frame.lines) this.recent.add(line.id);
    this.line = frame.line;
    if (this.recent.size > 20_000) this.recent = new Set([...this.recent].slice(-10_000));
  }

  say(state, detail) {
    if (state === this.state && state !== "reconnecting" && !detail.at) return;
    this.state = state;
    this.onState(state, detail);
  }
}

function refusal(answer) {
  if (answer.type === "opaqueredirect" || answer.status === 401) return 4401; // to the login page
  return { 400: 4400, 403: 4403, 404: 4404 }[answer.status];
}
