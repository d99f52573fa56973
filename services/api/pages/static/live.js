// Keeps a page live. The server says every word: a new status makes this script fetch the page's own fragment, so
// that the page with a script and the page without one cannot differ. Only ages are written here, in words that the
// browser has for them.

const AGAIN_MS = 30_000; // after an answer that was no stream: full, or too many from this address
const TICK_MS = 1_000;
const SPREAD_MS = 400; // readers of one library do not all ask in the same instant
const FETCH_LIMIT_MS = 8_000;

const live = document.getElementById("live");
const said = document.getElementById("announcement");
const ages = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always" });
const items = () => [...live.querySelectorAll("[data-library]")];
let receivedAt = Date.now();
let isFetching = false;
let isWanted = false;
let source;
let again;

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
  const passed = (Date.now() - receivedAt) / 1000;
  for (const item of items()) {
    const valid = Number(item.dataset.validS);
    const isExpired = item.dataset.version.endsWith("x"); // the server has said so already
    const isOld = !isExpired && valid >= 0 && passed > valid;
    for (const part of item.querySelectorAll("[data-when]")) part.hidden = (part.dataset.when === "old") !== isOld;
  }
  for (const age of live.querySelectorAll("[data-age-s]")) {
    const speed = Number(age.dataset.speed);
    const minutes = Math.floor((Number(age.dataset.ageS) + passed * speed) / 60);
    age.textContent = minutes >= 1 ? inWords(minutes) : "";
  }
}

function inWords(minutes) {
  if (minutes < 60) return ages.format(-minutes, "minute");
  if (minutes < 48 * 60) return ages.format(-Math.floor(minutes / 60), "hour");
  return ages.format(-Math.floor(minutes / 1440), "day");
}

function replace(html) {
  const before = announcements();
  const open = new Set([...live.querySelectorAll("details[open]")].map((each) => each.id));
  const focused = document.activeElement?.closest("summary")?.parentElement.id;
  const parsed = new DOMParser().parseFromString(html, "text/html");
  live.replaceChildren(...parsed.body.childNodes);
  for (const each of live.querySelectorAll("details")) each.open = open.has(each.id);
  if (focused) document.getElementById(focused)?.querySelector("summary").focus();
  receivedAt = Date.now();
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
    if (response.ok) replace(await response.text());
    else if (response.status === 404) location.reload();
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

function onStatus(event) {
  const status = JSON.parse(event.data);
  const version = `${event.lastEventId}${status.expired ? "x" : ""}`;
  const item = items().find((each) => each.dataset.library === status.library);
  if (item?.dataset.version === version) return;
  // Followed without being shown: only another situation could bring it into view.
  if (item?.dataset.situation === `${status.state} ${status.level}`) return;
  soon();
}

function connect() {
  clearTimeout(again);
  source?.close();
  source = new EventSource(streamWanted());
  source.onopen = () => showLink(true);
  source.addEventListener("status", onStatus);
  source.addEventListener("removed", soon);
  source.onerror = () => {
    showLink(false);
    if (source.readyState === EventSource.CLOSED) {
      soon();
      again = setTimeout(connect, AGAIN_MS);
    }
  };
}

addEventListener("pagehide", () => source.close());

addEventListener("pageshow", (event) => {
  if (event.persisted) {
    soon();
    connect();
  }
});
document.addEventListener("visibilitychange", tick);
setInterval(tick, TICK_MS);
tick();
connect();
