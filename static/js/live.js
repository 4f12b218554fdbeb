// What a page does between two frames from the server: tells how old it is, counts down, marks what
// changed, and keeps still what is being read. Without this module every page works, only stiller.

const OVER = new Set(["FINISHED", "STOPPED", "FAILED"]);
const DEAD_LINE_MS = 30_000;
// After the end a few events may still follow: positions closed, the seal.
const LINGER_MS = 15_000;

const line = { state: "connecting", frameAt: Date.now(), newsAt: Date.now(), tries: 0 };
let skew = 0; // the server's clock minus ours, ms
let heardAt = null; // when the last event happened, by our clock

const now = () => Date.now() + skew;
const all = (selector) => document.querySelectorAll(selector);

function duration(ms) {
  const total = Math.max(0, Math.floor(ms / 1000));
  const parts = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const first = parts.findIndex(([length]) => total >= length);
  if (first < 0) return "0\u00a0s";
  const [length, unit] = parts[first];
  const text = `${Math.floor(total / length)}\u00a0${unit}`;
  if (first >= 2) return text;
  const [small, smallUnit] = parts[first + 1];
  const rest = Math.floor((total % length) / small);
  return rest ? `${text}\u00a0${rest}\u00a0${smallUnit}` : text;
}

function countdown(ms) {
  const total = Math.max(0, Math.ceil(ms / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(total / 3600);
  const rest = `${two(Math.floor((total % 3600) / 60))}:${two(total % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

// ---- clocks

function readPulse() {
  const told = document.querySelector("[data-now]");
  if (!told) return;
  skew = Date.parse(told.dataset.now) - Date.now();
  if (told.dataset.last) heardAt = Date.parse(told.dataset.last) - skew;
}

function tickCountdowns() {
  for (const element of all("time[data-due]")) {
    const left = Date.parse(element.dataset.due) - now();
    setText(element, countdown(left));
    const ring = element.closest(".ringed")?.querySelector(".ring");
    const interval = Number(element.dataset.interval) * 1000;
    if (ring && interval) lightRing(ring, 12 - Math.min(12, Math.ceil((12 * Math.max(left, 0)) / interval)));
  }
}

function lightRing(ring, passed) {
  ring.querySelectorAll("path").forEach((path, part) => path.classList.toggle("on", part < passed));
}

function tickAges() {
  for (const element of all("time[data-age]")) {
    setText(element, duration(now() - Date.parse(element.dateTime)));
  }
}

// ---- the live indicator

function liveState(pulse) {
  if (OVER.has(pulse.dataset.status)) return ["ended", "Final", ""];
  if (line.state === "connecting") return ["connecting", "Connecting", ""];
  if (line.state === "lost") return ["reconnecting", "Reconnecting", line.tries > 1 ? `try ${line.tries}` : ""];
  const age = heardAt === null ? 0 : Date.now() - heardAt;
  const limit = Number(pulse.dataset.stale) * 1000;
  if (limit && heardAt !== null && age > limit) {
    const since = new Date(heardAt + skew).toISOString().slice(11, 19);
    return ["stale", "Stale", `since ${since}`];
  }
  return ["live", "Live", heardAt === null ? "" : `updated ${duration(age)} ago`];
}

function tickLive() {
  const indicator = document.querySelector("[data-live]");
  const pulse = document.getElementById("pulse");
  if (!indicator || !pulse) return;
  const [state, word, detail] = liveState(pulse);
  if (indicator.dataset.seq !== pulse.dataset.seq) line.newsAt = Date.now();
  indicator.dataset.state = state;
  indicator.dataset.seq = pulse.dataset.seq;
  setText(indicator.querySelector("[role=status]"), word);
  if (state !== "ended" || document.getElementById("socket")) setText(indicator.querySelector("small"), detail);
  document.getElementById("main").classList.toggle("stale-data", state === "stale");
  // Nothing will come any more: without its element the socket is closed for good.
  if (state === "ended" && Date.now() - line.newsAt > LINGER_MS) document.getElementById("socket")?.remove();
}

function openSocket() {
  const url = document.getElementById("socket")?.getAttribute("hx-ws:connect");
  const socket = url && window.htmx?.ext?.ws?.getRegistry().get(url)?.socket;
  return socket?.readyState === WebSocket.OPEN ? socket : null;
}

function isConnected() {
  Object.assign(line, { state: "open", frameAt: Date.now(), tries: 0 });
}

function checkLine() {
  // htmx may have opened it before this module was loaded.
  if (line.state === "connecting" && openSocket()) isConnected();
  if (line.state !== "open" || Date.now() - line.frameAt < DEAD_LINE_MS) return;
  // Open, but silent although the server speaks every ten seconds: let it be opened anew.
  openSocket()?.close();
  line.frameAt = Date.now();
}

function tick() {
  tickCountdowns();
  tickAges();
  checkLine();
  tickLive();
}

// ---- what is being read stays still

const held = new Map(); // piece name -> its newest markup, not shown yet

const piecePattern = (name) => new RegExp(`<hx-partial hx-target="#${name}"[^>]*>[\\s\\S]*?</hx-partial>`);
const idsIn = (markup, prefix) => [...markup.matchAll(new RegExp(` id="(${prefix}[^"]+)"`, "g"))].map((found) => found[1]);
const idsShown = (selector) => [...all(selector)].map((element) => element.id);

const isBeingRead = {
  // The reader is somewhere down the list, and new entries would push it away.
  feed: (markup) => {
    const feed = document.getElementById("feed");
    const isScrolled = feed && feed.offsetParent !== null && feed.getBoundingClientRect().top < 0;
    return isScrolled && newEntries(markup).length > 0;
  },
  // Rows would change places under the pointer.
  board: (markup) => {
    const isPointedAt = document.querySelector("#board tbody:hover") !== null;
    return isPointedAt && idsIn(markup, "row-").join() !== idsShown("#board tbody tr").join();
  },
};

function newEntries(markup) {
  const shown = new Set(idsShown("#feed article"));
  return idsIn(markup, "(?:turn|fill)-").filter((id) => !shown.has(id));
}

function holdBack(text) {
  let rest = text;
  for (const [name, isRead] of Object.entries(isBeingRead)) {
    const markup = rest.match(piecePattern(name))?.[0];
    if (!markup) continue;
    held.delete(name);
    if (!isRead(markup)) continue;
    held.set(name, markup);
    rest = rest.replace(markup, "");
  }
  showNews();
  return rest;
}

function showNews() {
  const pill = document.getElementById("news");
  if (!pill) return;
  const count = held.has("feed") ? newEntries(held.get("feed")).length : 0;
  pill.hidden = count === 0;
  setText(pill, count ? `↑ ${count} new` : "");
}

function release(name) {
  const markup = held.get(name);
  const socket = document.getElementById("socket");
  if (!markup || !socket) return;
  held.delete(name);
  window.htmx.swap({ sourceElement: socket, target: socket, swap: "none", text: markup, transition: false });
  showNews();
}

function releaseRead() {
  for (const [name, markup] of [...held]) if (!isBeingRead[name](markup)) release(name);
}

// ---- marks on what changed

new MutationObserver((changes) => {
  for (const { target, oldValue } of changes) {
    if (oldValue === null || oldValue === target.dataset.value || !target.isConnected) continue;
    target.classList.remove("flash");
    requestAnimationFrame(() => target.classList.add("flash"));
  }
}).observe(document.documentElement, {
  subtree: true,
  attributes: true,
  attributeFilter: ["data-value"],
  attributeOldValue: true,
});
document.addEventListener("animationend", (event) => {
  if (event.animationName === "flash") event.target.classList.remove("flash");
});

// ---- events

document.addEventListener("htmx:after:ws:connection", () => {
  isConnected();
  tickLive();
});
document.addEventListener("htmx:ws:close", () => {
  Object.assign(line, { state: "lost", tries: line.tries + 1 });
  tickLive();
});
document.addEventListener("htmx:before:ws:message", (event) => {
  isConnected();
  const { message } = event.detail;
  message.text = holdBack(message.text);
});
document.addEventListener("htmx:after:swap", () => {
  readPulse();
  tick();
});
document.addEventListener("scroll", releaseRead, { passive: true });
document.addEventListener("pointerover", releaseRead, { passive: true });
document.addEventListener("click", (event) => {
  if (event.target.id !== "news") return;
  release("feed");
  document.getElementById("feed").scrollIntoView({ block: "start" });
});
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, textarea, select")) return;
  [...all("[data-key]")].find((link) => link.dataset.key === event.key)?.click();
});

// htmx begins as soon as it is loaded, which may be before its socket extension is: then the element was
// passed over. This module comes after both; an element that is connected already is left as it is.
const socketElement = document.getElementById("socket");
if (socketElement) window.htmx?.process(socketElement);

readPulse();
tick();
setInterval(tick, 1000);
