// Moves the map without loading the page anew. Every way to move it is a link of the server's; this script follows the
// same links in place, and asks for the view that a drag, a wheel or a key leads to.

const FETCH_LIMIT_MS = 8_000;
const WHEEL_PAUSE_MS = 400;
const DRAG_PX = 8; // less is a finger that trembles
const KEYS = { "+": "in", "-": "out", ArrowUp: "north", ArrowDown: "south", ArrowLeft: "west", ArrowRight: "east" };

const live = document.getElementById("live");
let isMoving = false;
let wheeledAt = 0;
let drag = null;

async function go(href) {
  if (isMoving) return;
  isMoving = true;
  const control = document.activeElement?.closest?.(".control")?.dataset.control;
  try {
    const address = new URL(href, location.href);
    const shown = address.pathname + address.search;
    address.searchParams.set("fragment", "1");
    const response = await fetch(address, { signal: AbortSignal.timeout(FETCH_LIMIT_MS) });
    if (!response.ok) throw new Error(String(response.status));
    const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
    live.replaceChildren(...parsed.body.childNodes);
    live.dataset.fragment = address.pathname + address.search; // what a new status makes the page fetch
    history.replaceState(null, "", shown);
    if (control) live.querySelector(`[data-control="${control}"]`)?.focus();
  } catch {
    location.assign(href); // the page itself says what is wrong
  } finally {
    isMoving = false;
  }
}

function press(name) {
  const link = live.querySelector(`[data-control="${name}"]`);
  if (link) go(link.href);
}

function moved(across, down) {
  // Web Mercator, in shares of the map's width and height; the server draws the view of its grid that is next to it.
  const { lat, lon, zoom } = live.querySelector("#map").dataset;
  const width = 2 ** -zoom;
  const rad = (Number(lat) * Math.PI) / 180;
  const y = (1 - Math.log(Math.tan(Math.PI / 4 + rad / 2)) / Math.PI) / 2 + (down * width * 3) / 4;
  const there = (2 * Math.atan(Math.exp((1 - 2 * y) * Math.PI)) - Math.PI / 2) * (180 / Math.PI);
  const address = new URL(location.href);
  address.searchParams.set("at", `${there.toFixed(5)},${(Number(lon) + across * width * 360).toFixed(5)}`);
  address.searchParams.set("zoom", zoom);
  go(address.href);
}

function layers() {
  return live.querySelectorAll("#map > svg");
}

live.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-map]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.href.baseVal ?? link.href);
});

live.addEventListener("pointerdown", (event) => {
  if (event.button || !event.target.closest("#map")) return;
  drag = { id: event.pointerId, x: event.clientX, y: event.clientY, isFar: false };
});

addEventListener("pointermove", (event) => {
  if (event.pointerId !== drag?.id) return;
  const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
  drag.isFar ||= Math.hypot(x, y) > DRAG_PX;
  if (drag.isFar) for (const layer of layers()) layer.style.transform = `translate(${x}px, ${y}px)`;
});

addEventListener("pointerup", (event) => {
  if (event.pointerId !== drag?.id) return;
  const { x, y, isFar } = drag;
  drag = null;
  if (!isFar) return;
  addEventListener("click", (click) => click.preventDefault(), { capture: true, once: true });
  setTimeout(() => dispatchEvent(new Event("click")), 0); // should the drag have ended on nothing, it is used up here
  const box = live.querySelector("#map").getBoundingClientRect();
  moved((x - event.clientX) / box.width, (y - event.clientY) / box.height);
});

addEventListener("pointercancel", () => {
  if (drag) for (const layer of layers()) layer.style.transform = "";
  drag = null;
});

live.addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey || !event.target.closest("#map")) return; // a wheel alone scrolls the page
    event.preventDefault();
    if (event.timeStamp - wheeledAt < WHEEL_PAUSE_MS) return;
    wheeledAt = event.timeStamp;
    press(event.deltaY < 0 ? "in" : "out");
  },
  { passive: false },
);

live.addEventListener("dblclick", (event) => {
  if (event.target.closest("#map") && !event.target.closest("a")) press("in");
});

live.addEventListener("keydown", (event) => {
  const name = KEYS[event.key];
  if (!name || !event.target.closest("#map-frame") || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  press(name);
});
