// Lets the service worker keep what is visited, and says so on a page that was kept: what is shown is what was last
// known, and from when.

const root = document.documentElement;
const banner = document.getElementById("kept");
const list = document.getElementById("kept-pages");
const AGAIN_MS = 30_000;
const DAY_MS = 24 * 3600 * 1000;
const PAGES = "placelibre-pages-1"; // as in the worker

function say() {
  const at = Number(root.dataset.keptAt);
  if (!at || !banner) return;
  const isFar = Math.abs(Date.now() - at) > DAY_MS || new Date(at).getDate() !== new Date().getDate();
  const day = isFar ? { weekday: "long", day: "numeric", month: "long" } : {};
  const time = new Intl.DateTimeFormat(root.lang, { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  banner.textContent = banner.dataset.words.replace("{time}", time.format(at));
}

async function keep() {
  const isFirst = !navigator.serviceWorker.controller;
  await navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" });
  if (!isFirst) return;
  // This page and its files came before the worker did.
  const { active } = await navigator.serviceWorker.ready;
  const named = document.querySelectorAll("link[rel=stylesheet], link[rel=icon], script[src]");
  const page = location.href.split("#")[0];
  active.postMessage({ keep: { page, files: [...named].map((each) => each.href || each.src) } });
}

async function listKept() {
  const cache = await caches.open(PAGES);
  for (const request of (await cache.keys()).reverse()) {
    const page = new DOMParser().parseFromString(await (await cache.match(request)).text(), "text/html");
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = request.url;
    link.lang = page.documentElement.lang;
    link.textContent = page.querySelector("h1")?.textContent ?? request.url;
    item.append(link);
    list.append(item);
  }
  document.getElementById("kept-list").hidden = !list.children.length;
}

new MutationObserver(say).observe(root, { attributes: true, attributeFilter: ["data-kept-at"] });
say();
if ("serviceWorker" in navigator) {
  const start = () => keep().catch(() => {}); // then without
  if (document.readyState === "complete") start();
  else addEventListener("load", start);
}
if (list) {
  addEventListener("online", () => location.reload());
  // A screen that was switched on before its server has nobody to press a button. A reload that fails ends here again.
  if (location.pathname.startsWith("/display")) setTimeout(() => location.reload(), AGAIN_MS);
  listKept();
}
