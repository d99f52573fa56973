// Keeps visited pages for when there is no connection, and shows what this installation tells those who asked.
//
// A page comes from the network while that answers in time, else from what was kept, marked with when that was: the
// page's script lets its figures expire by that age. An answer that is an error replaces nothing. `SHELL` comes before
// this text: the version, the languages, and the files that the page without a connection needs.

const PAGES = "placelibre-pages-1";
const PARTS = "placelibre-parts-1"; // the parts of pages that change, as their scripts fetched them last
const FILES = "placelibre-files-1";
const OWN = `placelibre-shell-${SHELL.version}`;
const PAGES_MAX = 40; // the one kept longest ago goes first
const FILES_MAX = 120;
const PATIENCE_MS = 4_000; // bad Wi-Fi: after this what was kept is better than a blank page
const KEPT_AT = "x-kept-at";
const CAN_BE_KEPT = "data-can-be-kept"; // a page that cannot say that it is old is not kept
const NO_PAGES = ["/v1/", "/static/", "/embed", "/ap/", "/.well-known/", "/openapi.json", "/offline", "/sw.js"];

addEventListener("install", (event) => {
  skipWaiting();
  event.waitUntil(prepare());
});
addEventListener("activate", (event) => event.waitUntil(Promise.all([tidy(), clients.claim()])));
addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith("/static/")) event.respondWith(file(request));
  else if (NO_PAGES.some((start) => url.pathname.startsWith(start))) return;
  else if (request.mode === "navigate" && request.destination === "document") event.respondWith(page(event, url));
  else if (url.searchParams.get("fragment") === "1") event.respondWith(answer(event, PARTS, url, request));
});
addEventListener("message", (event) => {
  if (event.data?.keep) event.waitUntil(keepFirst(event.data.keep));
});
addEventListener("push", (event) => event.waitUntil(tell(event.data)));
addEventListener("notificationclick", (event) => event.waitUntil(open(event.notification)));

async function prepare() {
  try {
    const cache = await caches.open(OWN);
    await cache.addAll(SHELL.files.map((path) => new Request(path, { cache: "no-cache" })));
  } catch {
    // Without it there is no page of our own for what was never visited; what was visited, and pushes, still work.
  }
}

async function tidy() {
  const known = [PAGES, PARTS, FILES, OWN];
  for (const each of await caches.keys()) {
    if (each.startsWith("placelibre-") && !known.includes(each)) await caches.delete(each);
  }
  // A new version has new files; old ones stay as long as a kept page needs them.
  const [pages, files] = [await caches.open(PAGES), await caches.open(FILES)];
  const texts = await Promise.all((await pages.matchAll()).map((each) => each.text()));
  for (const each of await files.keys()) {
    if (!texts.some((text) => text.includes(new URL(each.url).pathname))) await files.delete(each);
  }
}

async function page(event, url) {
  // A navigation may come from the browser's own cache, which would be taken for fresh.
  return (await answer(event, PAGES, url, new Request(event.request, { cache: "no-cache" }))) ?? offline(url);
}

async function answer(event, name, url, request) {
  const asked = fetch(request).then((response) => {
    event.waitUntil(keep(name, url, response.clone()));
    return response;
  });
  event.waitUntil(asked.catch(() => {})); // one that comes late is kept all the same
  const kept = keptOf(name, url);
  const inTime = pause(PATIENCE_MS).then(async () => (await kept) ?? asked);
  const response = await Promise.race([asked, inTime]).catch(() => null);
  if (response && response.status < 500) return response;
  return (await kept) ?? response ?? (name === PAGES ? null : Response.error());
}

async function keep(name, url, response) {
  const cache = await caches.open(name);
  if (response.status === 404 || response.status === 410) {
    for (const each of [PAGES, PARTS]) await (await caches.open(each)).delete(url.href, { ignoreVary: true });
  }
  if (!response.ok || !response.headers.get("content-type")?.startsWith("text/html")) return;
  const text = await response.text();
  if (name === PAGES && !text.includes(CAN_BE_KEPT)) return;
  const ageS = Number(response.headers.get("age")) || 0; // some cache on the way had it before
  await cache.put(url.href, written(text, response, Date.now() - ageS * 1000, 200));
  await prune(cache, PAGES_MAX);
}

async function keptOf(name, url) {
  const cache = await caches.open(name);
  const found = (await cache.match(url.href, { ignoreVary: true })) ?? (await inAnotherLanguage(cache, url));
  if (!found) return null;
  const at = found.headers.get(KEPT_AT);
  const text = await found.text();
  const marked = name === PAGES ? text.replace("<html ", `<html data-kept-at="${Number(at)}" `) : text;
  return written(marked, found, at, 200);
}

async function inAnotherLanguage(cache, url) {
  const key = (address) => {
    const parameters = new URLSearchParams(address.search);
    parameters.delete("lang");
    parameters.sort();
    return `${address.pathname}?${parameters}`;
  };
  const alike = (await cache.keys()).filter((each) => key(new URL(each.url)) === key(url));
  return alike.length ? cache.match(alike.at(-1), { ignoreVary: true }) : null;
}

function written(text, response, keptAt, status) {
  const headers = new Headers(response.headers);
  for (const each of ["content-encoding", "content-length", "etag", "vary"]) headers.delete(each);
  headers.set(KEPT_AT, keptAt);
  return new Response(text, { status, headers });
}

async function file(request) {
  const kept = await caches.match(request, { ignoreVary: true });
  if (kept) return kept; // its name has its content's hash
  const response = await fetch(request);
  if (response.ok) await keepFile(request, response.clone());
  return response;
}

async function keepFile(request, response) {
  const cache = await caches.open(FILES);
  await cache.put(request, response);
  await prune(cache, FILES_MAX);
}

async function keepFirst({ page: address, files }) {
  const url = new URL(address);
  if (url.origin !== location.origin || NO_PAGES.some((start) => url.pathname.startsWith(start))) return;
  const headers = { accept: "text/html" };
  await keep(PAGES, url, await fetch(url, { cache: "no-cache", headers }));
  const own = files.filter((each) => new URL(each).origin === location.origin).slice(0, FILES_MAX);
  await Promise.all(own.map((each) => file(new Request(each))));
  if (!(await caches.match(SHELL.files[0]))) await prepare();
}

async function prune(cache, most) {
  const keys = await cache.keys(); // in the order in which they were put
  for (const each of keys.slice(0, Math.max(keys.length - most, 0))) await cache.delete(each);
}

async function offline(url) {
  const wanted = [url.searchParams.get("lang") ?? "", ...navigator.languages].map((each) => each.split("-")[0]);
  const language = wanted.find((each) => SHELL.languages.includes(each)) ?? "en";
  const found = await (await caches.open(OWN)).match(`/offline?lang=${language}`, { ignoreVary: true });
  return found ? new Response(await found.text(), { status: 503, headers: found.headers }) : Response.error();
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// A repeated notification has the tag of the first and takes its place in silence.
async function tell(data) {
  const word = data.json();
  const isLate = Date.parse(word.valid_until) < Date.now(); // a device that was off gets what nobody may take for now
  await registration.showNotification(isLate ? word.late_title : word.title, {
    body: isLate ? word.late_body : word.body,
    lang: word.lang,
    tag: word.tag,
    data: { url: word.url },
  });
  for (const page of await clients.matchAll({ includeUncontrolled: true })) page.postMessage({ told: word.library });
}

async function open(notification) {
  notification.close();
  const url = new URL(notification.data.url, location.origin);
  const pages = await clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((each) => new URL(each.url).pathname === url.pathname);
  return page ? page.focus() : clients.openWindow(url.href);
}
