// Opens the staff's page without a connection. VERSION and FILES stand above, put there by the server; everything is
// fetched anew under a new version, which takes over when the page says that nobody is at it. Answers of /v1 are never kept.

const CACHE = "placelibre-staff-" + VERSION;

addEventListener("install", (event) => event.waitUntil(keepAll()));
addEventListener("activate", (event) => event.waitUntil(dropOthers()));
addEventListener("message", (event) => { if (event.data === "take over") skipWaiting(); });

async function keepAll() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((each) => new Request(each, { cache: "reload" })));
}

async function dropOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter((each) => each.startsWith("placelibre-staff-") && each !== CACHE).map((each) => caches.delete(each)));
  await clients.claim();
}

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith("/staff/files/")) event.respondWith(kept(event.request, url.pathname));
  else if (event.request.mode === "navigate" && url.pathname === "/staff") {
    // The home screen asks for no language: the page itself changes to the one that was chosen.
    const asked = url.searchParams.get("lang");
    const shell = shellOf(asked === null ? navigator.languages || [] : [asked]);
    if (shell) event.respondWith(kept(event.request, shell));
    else event.respondWith(fetch(event.request).catch(() => kept(event.request, FILES[0])));
  }
});

function shellOf(tags) {
  return tags.map((each) => "/staff?lang=" + each.split("-")[0].toLowerCase()).find((each) => FILES.indexOf(each) >= 0);
}

async function kept(request, name) {
  const cache = await caches.open(CACHE);
  return (await cache.match(name, { ignoreVary: true })) || fetch(request);
}
