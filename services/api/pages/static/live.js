// Keeps a page live. The server says every word: a new status makes this script fetch the page's own fragment, so
// that the page with a script and the page without one cannot differ. Only ages are written here, in words that the
// browser has for them. A fragment or a page that the service worker had kept says since when, and ages from then on.

const AGAIN_MS = 30_000; // after an answer that was no stream: full, or too many from this address
const TICK_MS = 1_000;
const SPREAD_MS = 300; // readers of one library do not all ask in the same instant
const FETCH_LIMIT_MS = 8_000;
const SURE_MS = 2_000; // who heard something so lately has missed nothing
const REST_MS = 10_000; // a browser has six connections to one origin, and a tab that nobody sees may not hold one
const REST_ASK_MS = 60_000; // its title still says how it is
const UNPROVEN_MS = 1_000; // the Back button shows a page of the browser's memory: the server has to confirm it
const KEPT_AT = "x-kept-at";

const root = document.documentElement;
const live = document.getElementById("live");
const said = document.getElementById("announcement");
const ages = new Intl.RelativeTimeFormat(root.lang, { numeric: "always" });
const items = () => [...live.querySelectorAll("[data-library]")];
const name = document.title.split(" · ").slice(1).join(" · ");
// Neither a clock that is put right nor a sleep of the machine makes a time too short.
const instant = (wall = Date.now()) => ({ wall, steady: performance.now() - Math.max(Date.now() - wall, 0) });
const since = (then) => Math.max(Date.now() - then.wall, performance.now() - then.steady);
let received = instant(Number(root.dataset.keptAt) || Date.now());
let heard = instant();
let beatMs = 15_000; // until the stream says it
let isFetching = false;
let isWanted = false;
let isUnproven = !root.dataset.keptAt && performance.getEntriesByType("navigation")[0]?.type === "back_forward";
let source;
let again;
let resting;

// A part of the page may name another stream than the page began with: other libraries come into view.
const streamWanted = () => live.querySelector("[data-stream]")?.dataset.stream ?? live.dataset.stream;

function showLink(isLive) {
  document.getElementById("link-live").hidden = !isLive;
  document.getElementById("link-lost").hidden = isLive;
}

function announcements() {
  return items().map((item) => item.dataset.announcement).join(" ");
}

function tick() {
  // What was kept in the future was kept by another clock, so nobody knows how old it is.
  const isDoubtful = received.wall > Date.now() + TICK_MS || (isUnproven && since(received) > UNPROVEN_MS);
  const passed = isDoubtful ? Infinity : since(received) / 1000;
  for (const item of items()) {
    const valid = Number(item.dataset.validS);
    const isExpired = item.dataset.version.endsWith("x"); // the server has said so already
    const isOld = !isExpired && valid >= 0 && passed > valid;
    for (const part of item.querySelectorAll("[data-when]")) part.hidden = (part.dataset.when === "old") !== isOld;
    item.toggleAttribute("data-old", isOld);
  }
  for (const age of live.querySelectorAll("[data-age-s]")) {
    const minutes = Math.floor((Number(age.dataset.ageS) + passed * Number(age.dataset.speed)) / 60);
    age.textContent = minutes >= 1 && Number.isFinite(minutes) ? inWords(minutes) : "";
  }
  date();
  entitle();
  if (source && since(heard) > 2 * beatMs + TICK_MS) connect(); // a line that fell silent does not say so
}

// A page that stays open without news, or was kept, is still of the day on which it came.
function date() {
  const isOther = new Date(received.wall).toDateString() !== new Date().toDateString();
  root.toggleAttribute("data-other-day", isOther);
  if (!isOther) return;
  for (const each of live.querySelectorAll("[data-dated]")) each.textContent = each.dataset.dated;
  live.querySelector("[aria-current=date]")?.removeAttribute("aria-current");
}

function entitle() {
  const headline = live.querySelector(".library > .sign:not([hidden]) .headline")?.textContent;
  const title = `${headline} · ${name}`;
  if (headline && name && document.title !== title) document.title = title;
}

function inWords(minutes) {
  if (minutes < 60) return ages.format(-minutes, "minute");
  if (minutes < 48 * 60) return ages.format(-Math.floor(minutes / 60), "hour");
  return ages.format(-Math.floor(minutes / 1440), "day");
}

function replace(html, keptAt) {
  const before = announcements();
  const open = new Set([...live.querySelectorAll("details[open]")].map((each) => each.id));
  const focused = document.activeElement?.closest("summary")?.parentElement.id;
  const parsed = new DOMParser().parseFromString(html, "text/html");
  live.replaceChildren(...parsed.body.childNodes);
  for (const each of live.querySelectorAll("details")) each.open = open.has(each.id);
  if (focused) document.getElementById(focused)?.querySelector("summary").focus();
  received = instant(keptAt || Date.now());
  isUnproven = false;
  if (keptAt) root.dataset.keptAt = keptAt;
  else delete root.dataset.keptAt;
  const after = announcements();
  if (after !== before) said.textContent = after;
  tick();
  if (source && new URL(source.url).search !== new URL(streamWanted(), location).search) connect();
}

async function refresh() {
  if (isFetching) {
    isWanted = true;
    return;
  }
  isFetching = true;
  isWanted = false;
  try {
    const signal = AbortSignal.timeout(FETCH_LIMIT_MS);
    const response = await fetch(live.dataset.fragment, { cache: "no-cache", signal });
    const keptAt = Number(response.headers.get(KEPT_AT));
    if (response.status === 404) location.reload();
    else if (response.ok && (!keptAt || isUnproven || keptAt > received.wall)) replace(await response.text(), keptAt);
  } catch {
    // Away: the stream comes back by itself, and until then the page ages.
  } finally {
    isFetching = false;
    if (isWanted) soon();
  }
}

function soon() {
  setTimeout(refresh, Math.random() * SPREAD_MS);
}

// As the server writes it into the page: what decides whether a library is offered in place of another.
function situationOf({ state, level, free_seats: seats, next_change: change }) {
  const left = seats > 0 ? "seats" : "none";
  return [state, level, seats === null ? null : left, change].join(" "); // null is written as nothing
}

function onStatus(event) {
  heard = instant();
  const status = JSON.parse(event.data);
  const version = `${event.lastEventId}${status.expired ? "x" : ""}`;
  const item = items().find((each) => each.dataset.library === status.library);
  if (item?.dataset.version === version) return;
  // Followed without being shown: only another situation could bring it into view.
  if (item?.dataset.situation === situationOf(status)) return;
  soon();
}

function onBeat(event) {
  heard = instant();
  beatMs = Number(event.data) * 1000 || beatMs;
  if (isUnproven) soon();
}

function disconnect() {
  clearTimeout(again);
  source?.close();
  source = undefined;
}

function rest() {
  disconnect();
  document.getElementById("link-live").hidden = true;
}

function connect() {
  disconnect();
  if (document.visibilityState === "hidden") return; // as soon as somebody looks
  heard = instant();
  source = new EventSource(streamWanted());
  source.onopen = () => {
    heard = instant();
    showLink(true);
    if (root.dataset.keptAt || isUnproven) soon(); // the stream tells of nothing new where what was kept is still so
  };
  source.addEventListener("status", onStatus);
  source.addEventListener("beat", onBeat);
  source.addEventListener("removed", soon);
  source.onerror = () => {
    showLink(false);
    if (source?.readyState === EventSource.CLOSED) {
      soon();
      again = setTimeout(connect, AGAIN_MS);
    }
  };
}

function wake() {
  tick();
  clearTimeout(resting);
  if (document.visibilityState === "hidden") {
    resting = setTimeout(rest, REST_MS);
    return;
  }
  if (source && since(heard) < SURE_MS) return;
  refresh();
  if (source?.readyState !== EventSource.OPEN || since(heard) > beatMs + SURE_MS) connect();
}

addEventListener("pagehide", disconnect);
addEventListener("pageshow", (event) => {
  if (event.persisted) {
    refresh();
    connect();
  }
});
addEventListener("online", () => {
  refresh();
  connect();
});
addEventListener("offline", () => showLink(false));
document.addEventListener("visibilitychange", wake);
document.addEventListener("freeze", rest);
document.addEventListener("resume", wake);
setInterval(tick, TICK_MS);
setInterval(() => source || refresh(), REST_ASK_MS);
tick();
root.dataset.judged = "";
if (root.dataset.keptAt || isUnproven) refresh(); // a part of it may have been kept later
connect();
