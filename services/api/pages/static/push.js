// Asks to be told of a seat. Nothing is shown to a browser that cannot be told, and nobody is asked for permission
// before they press the button. What is kept here is the wish's id, so that it can be taken back.

const ANSWER_LIMIT_MS = 10_000;

const box = document.getElementById("push");
const form = document.getElementById("push-form");
const said = document.getElementById("push-said");
const undo = document.getElementById("push-undo");
const library = box.dataset.library;
const place = `/v1/push/${encodeURIComponent(library)}`;
const memory = `placelibre-push-${library}`;
const words = {
  "already-so": box.dataset.alreadySo,
  "closed-for-today": box.dataset.closedForToday,
  "too-many-wishes": box.dataset.tooMany,
  "too-many-wishes-here": box.dataset.tooMany,
  blocked: box.dataset.blocked,
};

class Said extends Error {
  // What is told to people instead of the usual words, and the problem's code.
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

function remember(id) {
  try {
    if (id) localStorage.setItem(memory, id);
    else localStorage.removeItem(memory);
  } catch {
    // A browser that keeps nothing cannot take back after a reload; the wish ends by itself.
  }
}

function remembered() {
  try {
    return localStorage.getItem(memory);
  } catch {
    return null;
  }
}

function show(id, text) {
  form.hidden = Boolean(id);
  undo.hidden = !id;
  undo.dataset.id = id ?? "";
  said.textContent = text;
}

async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    body: body && JSON.stringify(body),
    headers: body ? { "Content-Type": "application/json" } : {},
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
  });
  if (response.status === 204) return null;
  const answer = await response.json();
  if (response.ok) return answer;
  const code = answer.type?.split("/").pop();
  throw new Said(words[code] ?? box.dataset.failed, code);
}

function bytes(base64url) {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (each) => each.charCodeAt(0));
}

function isMadeFor(subscription, key) {
  const own = subscription.options?.applicationServerKey;
  if (!own) return true;
  const made = new Uint8Array(own);
  return made.length === key.length && made.every((each, index) => each === key[index]);
}

async function subscribed(publicKey) {
  await navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" });
  const { pushManager } = await navigator.serviceWorker.ready;
  const key = bytes(publicKey);
  let subscription = await pushManager.getSubscription();
  if (subscription && !isMadeFor(subscription, key)) {
    await subscription.unsubscribe(); // of an installation that has another key by now
    subscription = null;
  }
  return subscription ?? pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
}

async function ask() {
  if ((await Notification.requestPermission()) !== "granted") throw new Said(words.blocked);
  const offer = await call("GET", place);
  const subscription = await subscribed(offer.public_key);
  const want = form.elements.want.value;
  const threshold = { seat: form.elements.seats.value, queue: form.elements.minutes.value, opening: 0 }[want];
  return call("POST", place, {
    subscription: subscription.toJSON(),
    want,
    threshold: Number(threshold),
    zone: (want === "seat" && form.elements.zone?.value) || null,
    language: box.dataset.language,
  });
}

async function doing(work) {
  for (const button of box.querySelectorAll("button")) button.disabled = true;
  try {
    await work();
  } catch (error) {
    said.textContent = error instanceof Said ? error.message : box.dataset.failed;
  } finally {
    for (const button of box.querySelectorAll("button")) button.disabled = false;
    (undo.hidden ? form.querySelector("button") : undo).focus(); // what had the focus may be gone
  }
}

function chooseParts() {
  for (const part of form.querySelectorAll("[data-want]")) part.hidden = part.dataset.want !== form.elements.want.value;
}

async function recall() {
  const id = remembered();
  if (!id) return;
  try {
    const wish = await call("GET", `${place}/${id}`);
    show(wish.id, wish.said);
    box.open = true;
  } catch (error) {
    if (error.code === "unknown-wish") remember(null); // else it may still be there
  }
}

function begin() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    doing(async () => {
      const wish = await ask();
      remember(wish.id);
      show(wish.id, wish.said);
    });
  });
  undo.addEventListener("click", () =>
    doing(async () => {
      await call("DELETE", `${place}/${undo.dataset.id}`);
      remember(null);
      show(null, box.dataset.undone);
    }),
  );
  navigator.serviceWorker.addEventListener("message", (event) => {
    if (event.data?.told !== library) return;
    remember(null);
    show(null, box.dataset.told);
  });
  form.elements.want.addEventListener("change", chooseParts);
  chooseParts();
  box.hidden = false;
  recall();
}

if ("serviceWorker" in navigator && "PushManager" in window && "Notification" in window) begin();
