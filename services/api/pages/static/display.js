// Keeps a screen true for months without a hand on it. The server says every word: each language's part of the page is
// fetched whole, and what is written here is the time alone. Nothing is taken down before its successor is there.
// No syntax or interface newer than the browsers of televisions of 2020.

const TICK_MS = 1_000;
const POLL_MS = 45_000; // also finds out what a stream that fell asleep has missed
const SPREAD_MS = 100; // the screens of one house do not all ask in the same instant
const FETCH_LIMIT_MS = 8_000;
const AGAIN_MS = 30_000; // after an answer that was no stream
const LOST_S = 75; // nothing was heard of a poll and of half the next one
const BEATS_MISSED = 3; // the stream says how often it says something
const UNPROVEN_S = 20; // a page may come from a browser's memory of yesterday; the server has to confirm it
const OLD_S = 900; // a recorded day holds for ever, but not on a screen that hears nothing
const SHIFT_MS = 180_000;
const SHIFT_REM = 0.35;
const IDLE_MS = 4_000;
const DAY_RELOAD_S = 12 * 3600;
const ANY_RELOAD_S = 20 * 3600;
const NIGHT = [2, 5]; // hours between which a house that never closes is looked at least
const RELOAD_APART_S = 600;
const FIT = { least: 0.3, most: 1.7, rounds: 8, step: 1.03 };
const SHIFTS = [
  [0, 0],
  [1, 0],
  [1, 1],
  [0, 1],
  [-1, 1],
  [-1, 0],
  [-1, -1],
  [0, -1],
];

// Time since an instant, in seconds. Neither a clock that is put right nor a sleep of the machine makes it too short.
const instant = (wall = Date.now()) => ({ steady: performance.now() - Math.max(Date.now() - wall, 0), wall });
const since = (then) => Math.max(performance.now() - then.steady, Date.now() - then.wall) / 1000;
const begun = instant();

function fetched(address, cache) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), FETCH_LIMIT_MS);
  return fetch(address, { cache, signal: limit.signal })
    .then(async (response) => ({
      ok: response.ok,
      status: response.status,
      date: response.headers.get("date"),
      text: await response.text(),
    }))
    .finally(() => clearTimeout(timer));
}

// The worker keeps the page for a start without a network; this page and its files came before the worker did.
async function keep() {
  const isFirst = !navigator.serviceWorker.controller;
  await navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" });
  if (!isFirst) return;
  const { active } = await navigator.serviceWorker.ready;
  const named = [...document.querySelectorAll("link[rel=stylesheet], link[rel=icon], script[src]")];
  active.postMessage({ keep: { page: location.href, files: named.map((each) => each.href || each.src) } });
}

// A page that says why there is no screen looks again by itself, and leaves only for a better one.
function waitForScreen(refused) {
  const look = () =>
    fetched(location.href, "no-store")
      .then((answer) => answer.ok && location.reload())
      .catch(() => {});
  setInterval(look, Number(refused.dataset.againS) * 1000);
}

function screen(stage) {
  const languages = stage.dataset.languages.split(" ");
  const slides = new Map();
  const announced = new Map(); // each library's version as the stream has it
  let shown = stage.firstElementChild.dataset.language;
  const keptAt = Number(document.documentElement.dataset.keptAt) || Date.now(); // says the worker
  let heard = instant(keptAt);
  let streamHeard = instant();
  let beatS = 15; // until the stream says it
  let serverAhead = 0; // ms by which the server's clock is ahead of ours
  let isGone = false;
  let isFetching = false;
  let isWanted = false;
  let missed = 0;
  let source = null;
  let isHeld = false;
  let reloadTried = null;
  let formatter = null;
  let fitted = 0;
  slides.set(shown, { element: stage.firstElementChild, text: "", received: heard, isProven: false });

  const all = (selector) => [...stage.querySelectorAll(selector)];

  function timeOf(ms) {
    const zone = slides.get(shown).element.dataset.timeZone;
    if (!formatter || formatter.zone !== zone) {
      const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
      formatter = { zone, format };
    }
    return formatter.format.format(new Date(ms + serverAhead));
  }

  function write(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  function tick() {
    const silence = since(heard);
    const isLost = silence > LOST_S;
    const now = timeOf(Date.now());
    for (const clock of all(".clock")) {
      write(clock, now);
      clock.hidden = false;
    }
    let hasOld = false;
    for (const { element, received, isProven } of slides.values()) {
      // What was kept in the future was kept by another clock, so nobody knows how old it is.
      const passed = received.wall > Date.now() + TICK_MS ? Infinity : since(received);
      const most = isProven ? OLD_S : UNPROVEN_S;
      for (const item of element.querySelectorAll("[data-library]")) {
        const valid = Number(item.dataset.validS);
        const isExpired = item.dataset.version.endsWith("x"); // the server has said so already
        const limit = valid < 0 ? most : isProven ? valid : Math.min(valid, most);
        const isOld = isGone || (!isExpired && passed > limit);
        hasOld = hasOld || isOld;
        for (const part of item.querySelectorAll("[data-when]")) part.hidden = (part.dataset.when === "old") !== isOld;
        for (const part of item.querySelectorAll("[data-why]")) part.hidden = (part.dataset.why === "lost") !== isLost;
        for (const part of item.querySelectorAll("[data-lost]")) part.hidden = !isLost || isOld;
      }
    }
    if (isLost) {
      const last = timeOf(Date.now() - silence * 1000);
      for (const node of all(".since")) write(node, last);
    }
    if (hasOld !== tick.hadOld || isLost !== tick.wasLost) {
      tick.hadOld = hasOld;
      tick.wasLost = isLost;
      fit();
      if (hasOld && !isGone) refresh();
    }
  }

  function overflows() {
    return all(".slide, .library, .cards").some(
      (each) => each.scrollHeight > each.clientHeight + 1 || each.scrollWidth > each.clientWidth + 1,
    );
  }

  function size(value) {
    fitted = value;
    for (const { element } of slides.values()) element.style.setProperty("--fit", value.toFixed(3));
  }

  // All languages at one size, the largest at which nothing of any is cut off. Mostly that is the size of before.
  function fit() {
    if (fitted) {
      const before = fitted;
      size(before);
      const isSmallEnough = !overflows();
      size(before * FIT.step);
      const isLargeEnough = before * FIT.step > FIT.most || overflows();
      size(before);
      if (isSmallEnough && isLargeEnough) return;
    }
    let low = FIT.least;
    let high = FIT.most;
    for (let round = 0; round < FIT.rounds; round += 1) {
      const middle = (low + high) / 2;
      size(middle);
      if (overflows()) high = middle;
      else low = middle;
    }
    size(low);
  }

  function show(language) {
    shown = language;
    document.documentElement.lang = language;
    for (const [each, { element }] of slides) {
      element.classList.toggle("away", each !== language);
      for (const button of element.querySelectorAll(".hold")) button.hidden = slides.size < 2;
    }
  }

  function place(language, text) {
    const known = slides.get(language);
    if (known && known.text === text) {
      known.received = instant();
      known.isProven = true;
      return true;
    }
    const parsed = new DOMParser().parseFromString(text, "text/html").querySelector(".slide");
    if (!parsed || parsed.dataset.language !== language) return false;
    const element = document.importNode(parsed, true);
    if (known) stage.replaceChild(element, known.element);
    else stage.appendChild(element);
    slides.set(language, { element, text, received: instant(), isProven: true });
    return true;
  }

  async function refresh() {
    if (isFetching) {
      isWanted = true;
      return;
    }
    isFetching = true;
    isWanted = false;
    let isNew = false; // a part that is not measured yet
    try {
      // The language that people see comes first.
      for (const language of [shown, ...languages.filter((each) => each !== shown)]) {
        const answer = await fetched(stage.dataset.fragments + language, "no-cache");
        if (answer.status === 404 || answer.status === 410) {
          isGone = true; // the library or the floor is no more: no figure of it stays on a wall
          heard = instant();
          break;
        }
        if (!answer.ok) break;
        const before = slides.get(language);
        if (!place(language, answer.text)) break;
        isGone = false;
        heard = instant();
        const served = Date.parse(answer.date);
        if (served && Math.abs(served - Date.now() - serverAhead) > 2000) serverAhead = served - Date.now();
        if (!before || before.element !== slides.get(language).element) {
          isNew = true;
          show(shown);
          if (fitted) size(fitted);
          if (language === shown && overflows()) fit();
          tick();
        }
        if (isWanted) break; // news of the language on show is worth more than old news of the others
      }
    } catch {
      // Away: the stream or the next poll comes back, and until then what is shown ages.
    } finally {
      isFetching = false;
      if (isNew && !isWanted) {
        fit();
        tick();
      }
      stage.dataset.fitted = ""; // from now on it is seen, and nothing moves that has not changed
      if (languages.every((each) => (slides.get(each) || {}).isProven)) stage.dataset.ready = "";
      if (isWanted) soon();
    }
  }

  function soon() {
    setTimeout(refresh, Math.random() * SPREAD_MS);
  }

  function hear() {
    heard = instant();
    streamHeard = heard;
  }

  function onStatus(event) {
    hear();
    const status = JSON.parse(event.data);
    const version = `${event.lastEventId}${status.expired ? "x" : ""}`;
    announced.set(status.library, version);
    if (all("[data-library]").some((each) => each.dataset.library === status.library && each.dataset.version !== version))
      soon();
  }

  function connect() {
    if (source) source.close();
    missed = 0;
    streamHeard = instant();
    const mine = new EventSource(stage.dataset.stream);
    source = mine;
    mine.onopen = hear;
    mine.addEventListener("status", onStatus);
    mine.addEventListener("beat", (event) => {
      hear();
      beatS = Number(event.data) || beatS;
    });
    mine.addEventListener("removed", soon);
    mine.onerror = () => {
      if (mine.readyState === EventSource.CLOSED && source === mine) setTimeout(connect, AGAIN_MS);
    };
  }

  // A connection can die without a word. What polls bring and the stream did not tell gives it away.
  async function poll() {
    await refresh();
    const isDeaf = all("[data-library]").some((each) => announced.get(each.dataset.library) !== each.dataset.version);
    missed = isDeaf && source.readyState === EventSource.OPEN ? missed + 1 : 0;
    const isSilent = source.readyState === EventSource.OPEN && since(streamHeard) > BEATS_MISSED * beatS;
    if (missed > 1 || isSilent) connect();
    await reload();
  }

  function wantsReload() {
    if (slides.get(shown).element.dataset.build !== stage.dataset.build) return true;
    const age = since(begun);
    const isResting = all("[data-library]").every((each) => "resting" in each.dataset);
    const hour = Number(timeOf(Date.now()).slice(0, 2));
    return (age > DAY_RELOAD_S && isResting) || (age > ANY_RELOAD_S && hour >= NIGHT[0] && hour < NIGHT[1]);
  }

  // Never into an error: the page, and what it loads, must be there before this one is left.
  async function reload() {
    if (!wantsReload() || since(begun) < RELOAD_APART_S / 10 || (reloadTried && since(reloadTried) < RELOAD_APART_S))
      return;
    reloadTried = instant();
    try {
      const page = await fetched(location.href, "reload");
      if (!page.ok) return;
      const next = new DOMParser().parseFromString(page.text, "text/html");
      if (!next.getElementById("stage")) return;
      for (const node of next.querySelectorAll("script[src], link[rel=stylesheet]")) {
        const file = await fetched(node.getAttribute("src") || node.getAttribute("href"), "default");
        if (!file.ok) return;
      }
      location.reload();
    } catch {
      // Later.
    }
  }

  function rotate() {
    if (isHeld) return;
    const there = languages.filter((each) => slides.has(each));
    if (there.length > 1) show(there[(there.indexOf(shown) + 1) % there.length]);
  }

  // A line that never moves burns itself into a panel.
  function shift() {
    const step = Math.floor(since(begun) / (SHIFT_MS / 1000)) % SHIFTS.length;
    const [x, y] = SHIFTS[step].map((each) => `${each * SHIFT_REM}rem`);
    stage.style.transform = `translate(${x}, ${y})`;
  }

  function hideCursor() {
    let timer = setTimeout(() => document.documentElement.classList.add("idle"), IDLE_MS);
    document.addEventListener("pointermove", () => {
      clearTimeout(timer);
      document.documentElement.classList.remove("idle");
      timer = setTimeout(() => document.documentElement.classList.add("idle"), IDLE_MS);
    });
  }

  function stayAwake() {
    if (!("wakeLock" in navigator) || document.visibilityState !== "visible") return;
    navigator.wakeLock.request("screen").catch(() => {}); // refused: the device's own settings rule
  }

  stage.addEventListener("click", (event) => {
    if (!event.target.closest(".hold")) return;
    isHeld = !isHeld;
    for (const button of all(".hold")) button.setAttribute("aria-pressed", String(isHeld));
  });
  document.addEventListener("visibilitychange", () => {
    stayAwake();
    if (document.visibilityState === "visible") refresh();
  });
  addEventListener("online", refresh);
  addEventListener("resize", fit);
  addEventListener("pageshow", (event) => {
    if (event.persisted) connect();
  });
  addEventListener("pagehide", () => source.close());
  setInterval(tick, TICK_MS);
  setInterval(poll, POLL_MS);
  setInterval(shift, SHIFT_MS);
  setInterval(rotate, Number(stage.dataset.rotateS) * 1000);
  hideCursor();
  stayAwake();
  show(shown);
  tick();
  fit();
  connect();
  refresh();
}

const refused = document.getElementById("refused");
if (refused) waitForScreen(refused);
else {
  screen(document.getElementById("stage"));
  if ("serviceWorker" in navigator) keep().catch(() => {}); // then without
}
