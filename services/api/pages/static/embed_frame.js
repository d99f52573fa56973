// Keeps a frame true. It asks every few seconds rather than holding a stream open: a page on other sites may be open a
// thousand times behind one address, which may hold only a few streams, and a browser has few connections to share. Who
// has the newest already is answered with nothing but that. The server says every word; only ages are written here.

"use strict";

const EVERY_MS = 15_000; // what a cache on the way may keep, and the heartbeat of our streams
const SOONEST_MS = 2_000;
const SLOWEST_MS = 120_000;
const LIMIT_MS = 8_000;

const embed = document.getElementById("embed");
const article = () => embed.querySelector("article");
const ages = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always" });
let ahead = Date.parse(embed.dataset.now) - Date.now(); // of the reader's clock, in milliseconds
let shown = article().outerHTML; // as it came: ages and what is hidden are changed here
let failures = 0;
let timer = 0;
// The Back button shows a page of the browser's memory, whose time is of then: the server has to confirm it.
let isUnproven = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
let isTold = false; // what time it is here: the page says it rounded up, which a fast simulation makes many minutes

const present = () => Date.now() + ahead;

function inWords(minutes) {
  if (minutes < 1) return "";
  if (minutes < 60) return ages.format(-minutes, "minute");
  if (minutes < 48 * 60) return ages.format(-Math.floor(minutes / 60), "hour");
  return ages.format(-Math.floor(minutes / 1440), "day");
}

function tick() {
  if (!isTold && !isUnproven) return;
  const { version, since, speed, until } = article().dataset;
  const isOld = !version.endsWith("x") && until !== "" && (isUnproven || present() > Date.parse(until));
  for (const part of embed.querySelectorAll("[data-when]")) part.hidden = (part.dataset.when === "old") !== isOld;
  const minutes = Math.floor(((present() - Date.parse(since)) * Number(speed)) / 60_000);
  const age = embed.querySelector(".age");
  const words = speed === "0.0" || isUnproven ? "" : inWords(minutes);
  if (age.textContent !== words) age.textContent = words;
}

function replace(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const made = parsed.querySelector("article");
  if (!made || made.outerHTML === shown) return;
  shown = made.outerHTML;
  const isFocused = embed.contains(document.activeElement);
  embed.replaceChildren(made);
  if (isFocused) embed.querySelector("a").focus();
}

async function ask() {
  clearTimeout(timer);
  if (document.hidden) return; // asked again as soon as somebody looks
  const limit = new AbortController();
  const ending = setTimeout(() => limit.abort(), LIMIT_MS);
  try {
    const response = await fetch(embed.dataset.fragment, { cache: "no-cache", credentials: "omit", signal: limit.signal });
    if (response.status === 404) return location.reload();
    if (!response.ok) throw new Error(String(response.status));
    const date = Date.parse(response.headers.get("date"));
    if (date) ahead = date + Number(response.headers.get("age") ?? 0) * 1000 - Date.now();
    replace(await response.text());
    isUnproven = false;
    failures = 0;
  } catch {
    failures += 1; // away: what is shown ages, and goes when it no longer holds
  } finally {
    clearTimeout(ending);
  }
  isTold = true; // or there is no answer: the page's own time then is the best there is
  tick();
  wait();
}

function wait() {
  const left = Date.parse(article().dataset.until) - present();
  const soon = left > 0 && left < EVERY_MS ? Math.max(left, SOONEST_MS) : EVERY_MS;
  const pause = failures ? Math.min(EVERY_MS * 2 ** (failures - 1), SLOWEST_MS) : soon;
  timer = setTimeout(ask, pause * (1 + Math.random() / 5)); // readers do not all ask in the same instant
}

document.addEventListener("visibilitychange", () => {
  tick();
  ask();
});
addEventListener("pageshow", (event) => event.persisted && ask());
setInterval(tick, 1000);
ask();
