// The staff's tablet: what it knows, who is at it, and what is shown. Everything a tap does goes through the store first.

import { describe } from "./staff-acts.js";
import { LOST, call, makeClock } from "./staff-line.js";
import { isRight, makeVerifier } from "./staff-pin.js";
import * as screens from "./staff-screens.js";
import { startSender } from "./staff-sender.js";
import { Full, ROOM, openStore } from "./staff-store.js";
import { count, drawing, element, fill, language, setZone, timeOf, words } from "./staff-words.js";

const IDLE_MS = 10 * 60 * 1000; // then a PIN is asked for again
const UNDO_MS = 60 * 1000;
const TRIES = 5; // wrong PINs without a connection; with one the server counts
const LOCKED_MS = 5 * 60 * 1000;
const SIGN_IN_LIMIT_MS = 8000; // somebody stands there waiting; then the tablet checks by itself
const POLL_WAIT_S = 25;
const POLL_LIMIT_MS = 40000;
const POLL_PAUSES_S = [1, 2, 4, 8, 15, 30];
const UPDATE_EVERY_MS = 60 * 60 * 1000;
const LANGUAGE = "placelibre-staff-language";
const PRESENT = "placelibre-staff-present"; // who is signed in, as long as this tab lives

const SCREENS = {
  enrol: screens.enrol, enrol_again: screens.enrolAgain, revoked: screens.revoked, people: screens.people, pin: screens.pin,
  now: screens.now, recount: screens.recount, held_seats: screens.heldSeats, which_place: screens.whichPlace,
  queue_people: screens.queuePeople, got_in: screens.gotIn, closing: screens.closing, mute: screens.mute,
  notice: screens.notice, evacuation: screens.evacuation, record: screens.theRecord, take_back: screens.takeBack,
  public: screens.thePublic, posts: screens.posts, gates: screens.gates, tablet: screens.tablet,
};
const LIVE = ["people", "now", "record", "public", "posts", "gates", "tablet", "revoked"]; // nothing is half typed there
const SECTIONS = ["now", "public", "record", "posts", "gates"];

const byId = (id) => document.getElementById(id);
const app = {
  store: null, clock: null, tablet: null, desk: null, person: null, notice: "", names: {},
  actions: [], hasSession: {}, isOnline: null, isSending: false, isRevoked: false,
  card: null, view: "", params: {}, last: null, version: document.querySelector("script[type=module]").src.split("/").slice(-2)[0],
};
let sender = null;
let people = {}; // by id: {session, verifier, wrong, lockedUntil}
let etag = "";
let lastActive = Date.now();
let isPressed = false;
let poll = {};
let wakePoll = null;

// What is known

app.tell = (changes) => {
  const wasOnline = app.isOnline;
  Object.assign(app, changes);
  if (wasOnline !== false && app.isOnline === false) hurryPoll();
  if (!wasOnline && app.isOnline) sender.wake(true);
  draw();
};

app.tokens = async () => {
  people = (await app.store.get("people")) || {};
  const found = {};
  Object.keys(people).forEach((id) => { if (people[id].session) found[id] = people[id].session; });
  app.hasSession = found;
  return found;
};

async function changePerson(id, change) {
  people = await app.store.swap("people", (found) => {
    const all = found || {};
    return Object.assign({}, all, { [id]: Object.assign({}, all[id], change(all[id] || {})) });
  });
  await app.tokens();
}

app.lostAccess = async (code, person, token) => {
  if (code === "session-over" && person) {
    await changePerson(person, (found) => (found.session === token ? { session: null, verifier: null } : {}));
    const hasAnother = Boolean(people[person].session); // they have signed in anew, perhaps in another tab
    if (!hasAnother && app.person && app.person.id === person) app.lock(words.session_over);
    return;
  }
  if (code !== "unauthenticated" || (token !== app.tablet.key && (await stillEnrolled()))) return;
  app.isRevoked = true;
  await app.store.put("revoked", app.tablet.key);
  app.person = null;
  remember();
  app.show("revoked");
};

// A session that is unknown may be of a tablet that is not; its own key tells.
async function stillEnrolled() {
  const found = await call("GET", "/v1/staff/desk?lang=" + language, { token: app.tablet.key });
  return found.code !== "unauthenticated";
}

async function look() {
  app.actions = await app.store.all();
  draw();
}

// Enrolling and signing in

app.enrol = async (code) => {
  app.show("enrol", { code });
  say(words.moment, "");
  const found = await call("POST", "/v1/staff/enrolments", { body: { code } });
  if (found.status !== 201) {
    say("", "");
    const fault = found.code === "invitation-over" ? words.enrol_over : found.status === LOST ? words.no_answer : found.answer.detail;
    return app.show("enrol", { code: found.code === "invitation-over" ? "" : code, fault });
  }
  const { library, tablet, key } = found.answer;
  await app.store.put("tablet", { library, tablet, key });
  await app.store.put("people", {}); // sessions are of the tablet that it was
  await app.store.put("desk", undefined);
  await app.store.put("revoked", undefined);
  Object.assign(app, { tablet: found.answer, desk: null, isRevoked: false, person: null });
  people = {};
  await app.tokens();
  etag = "";
  hurryPoll();
  app.show("people");
  say(fill(words.enrolled, { library: library.name }), "");
};

// Answers with what is wrong, or with nothing when somebody is in.
app.signIn = async (person, pin) => {
  const found = await call("POST", "/v1/staff/sessions", {
    token: app.tablet.key, body: { person: person.id, pin }, limitMs: SIGN_IN_LIMIT_MS,
  });
  if (found.status === 201) {
    const verifier = await makeVerifier(pin);
    const old = (people[person.id] || {}).session;
    await changePerson(person.id, () => ({ session: found.answer.session, verifier, wrong: 0, lockedUntil: 0 }));
    if (old) call("DELETE", "/v1/staff/sessions/current", { token: old });
    app.isOnline = true;
    enter(person);
    return "";
  }
  if (found.status === LOST || found.status >= 500) return signInHere(person, pin);
  if (found.code === "unauthenticated") {
    await app.lostAccess("unauthenticated", null, app.tablet.key);
    return "";
  }
  if (found.code === "wrong-pin") {
    const left = found.answer.left;
    return typeof left === "number" && left > 0 ? count(words.pin_wrong, left) : words.pin_wrong_plain;
  }
  if (found.status === 429) {
    return fill(words.pin_locked, { time: timeOf(app.clock.now() + found.retryAfterS * 1000, app.clock.now()) });
  }
  return found.answer.detail;
};

async function signInHere(person, pin) {
  app.tell({ isOnline: false });
  const known = people[person.id] || {};
  if (!known.verifier) return fill(words.pin_unknown_here, { name: person.name });
  const locked = (known.lockedUntil || 0) - app.clock.now();
  if (locked > 0 && locked <= LOCKED_MS) return fill(words.pin_locked, { time: timeOf(known.lockedUntil, app.clock.now()) });
  if (await isRight(pin, known.verifier)) {
    await changePerson(person.id, () => ({ wrong: 0, lockedUntil: 0 }));
    enter(person);
    return "";
  }
  const wrong = (known.wrong || 0) + 1;
  const lockedUntil = wrong >= TRIES ? app.clock.now() + LOCKED_MS : 0;
  await changePerson(person.id, () => ({ wrong: lockedUntil ? 0 : wrong, lockedUntil }));
  if (lockedUntil) return fill(words.pin_locked, { time: timeOf(lockedUntil, app.clock.now()) });
  return count(words.pin_wrong, TRIES - wrong);
}

function enter(person) {
  app.person = person;
  app.notice = "";
  lastActive = Date.now();
  remember();
  hurryPoll();
  sender.wake(true);
  app.show(app.wanted || "now");
  app.wanted = "";
  say("", "");
}

app.lock = (why) => {
  app.person = null;
  app.notice = why;
  app.last = null;
  remember();
  hurryPoll();
  app.show("people");
};

app.signOut = async () => {
  const id = app.person.id;
  const token = (people[id] || {}).session;
  app.lock("");
  await changePerson(id, () => ({ session: null, verifier: null }));
  if (token) call("DELETE", "/v1/staff/sessions/current", { token });
};

function remember() {
  try {
    if (app.person) sessionStorage.setItem(PRESENT, JSON.stringify({ person: app.person, active: lastActive }));
    else sessionStorage.removeItem(PRESENT);
  } catch (error) {
    // Then a PIN is asked for after every change of page.
  }
}

function recall() {
  try {
    const found = JSON.parse(sessionStorage.getItem(PRESENT));
    if (found && Math.abs(Date.now() - found.active) < IDLE_MS && people[found.person.id]) {
      lastActive = found.active;
      return found.person;
    }
  } catch (error) {
    // Nobody.
  }
  return null;
}

// Taps

function newId() {
  const random = crypto.getRandomValues(new Uint8Array(12));
  return "tap-" + Array.from(random, (each) => (each + 256).toString(16).slice(1)).join("");
}

app.tap = async (kind, body, goesBack) => {
  const action = {
    id: newId(), library: app.tablet.library.id, person: app.person.id, kind, body,
    time: app.clock.at(), tapped: Date.now(), state: "pending", sent: false,
  };
  try {
    action.seq = await app.store.add(action);
  } catch (error) {
    say(error instanceof Full ? count(words.store_full, ROOM) : words.store_failed, "is-wrong");
    return "";
  }
  if (kind !== "undo") app.last = { seq: action.seq, id: action.id, until: Date.now() + UNDO_MS, state: "" };
  if (goesBack) app.show("now");
  await look();
  sender.wake(false);
  return "";
};

// Before it was ever sent, a tap is taken back here; after that only by another reading.
app.takeBack = async (seq, target) => {
  const taken = seq ? await app.store.change([seq], (each) => (
    each.state === "pending" && !each.sent ? Object.assign({}, each, { state: "taken_back" }) : undefined
  )) : [];
  app.last = null;
  if (app.view === "take_back") app.show("record");
  if (taken.length) {
    hear(words.said_taken_back);
    await look();
  } else {
    await app.tap("undo", { target });
    hear(words.said_kept);
  }
};

app.forget = async (seq) => {
  await app.store.change([seq], () => null);
};

app.decide = async (post, approve) => {
  const token = (await app.tokens())[app.person.id];
  const found = token
    ? await call("POST", "/v1/approvals", { token, body: { library: app.tablet.library.id, post, approve } })
    : { status: LOST };
  if (found.status === 202) {
    say(approve ? words.post_approved : words.post_declined, "");
    app.desk.posts.forEach((each) => { if (each.key === post) each.approved = approve; });
    draw();
  } else if (found.status === 401) {
    await app.lostAccess(found.code, app.person.id, token);
  } else {
    say(found.status === LOST ? words.needs_line : found.answer.detail, "is-wrong");
  }
};

// The desk, asked for again and again

async function followDesk() {
  let failures = 0;
  for (;;) {
    if (!app.tablet || app.isRevoked || (document.hidden && !app.actions.some((each) => each.state === "pending"))) {
      await pausePoll(2000);
      continue;
    }
    const session = app.person && (people[app.person.id] || {}).session;
    const token = session || app.tablet.key;
    const waits = etag && app.isOnline ? "&after=" + encodeURIComponent(etag.replace(/^W\//, "")) + "&wait=" + POLL_WAIT_S : "";
    poll = {};
    const asked = poll;
    const found = await call("GET", "/v1/staff/desk?lang=" + language + waits, {
      token, limitMs: waits ? POLL_LIMIT_MS : undefined, signal: asked,
    });
    if (asked.isCut) continue; // somebody else is at the tablet now, or the line has changed
    if (found.status === 200 && found.answer && found.answer.library) {
      failures = 0;
      await takeDesk(found);
    } else if (found.status === 304) {
      failures = 0;
      app.tell({ isOnline: true });
    } else if (found.status === 401) {
      await app.lostAccess(found.code, session ? app.person && app.person.id : null, token);
    } else {
      if (found.status === LOST) app.tell({ isOnline: false });
      await pausePoll(POLL_PAUSES_S[Math.min(failures, POLL_PAUSES_S.length - 1)] * 1000);
      failures += 1;
    }
  }
}

function pausePoll(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wakePoll = () => { clearTimeout(timer); resolve(); };
  });
}

function hurryPoll() {
  poll.isCut = true;
  if (poll.cut) poll.cut();
  if (wakePoll) wakePoll();
}

async function takeDesk({ answer, etag: tag }) {
  const isNew = tag !== etag || !app.desk;
  etag = tag || "";
  app.store.put("offset", app.clock.learn(answer.now));
  app.desk = answer;
  setZone(answer.time_zone);
  answer.people.forEach((each) => { app.names[each.id] = each.name; });
  app.tell({ isOnline: true });
  if (!isNew) return;
  await app.store.put("desk", answer);
  if (app.view === "public") showCard();
}

async function showCard() {
  const token = (app.person && (people[app.person.id] || {}).session) || app.tablet.key;
  const found = await call("GET", "/v1/staff/card.svg?lang=" + language, { token, type: "text" });
  if (found.status !== 200 || !/^\s*(<\?xml[^>]*>\s*)?<svg/.test(found.text)) return;
  if (app.card) URL.revokeObjectURL(app.card);
  app.card = URL.createObjectURL(new Blob([found.text], { type: "image/svg+xml" }));
  draw();
}

// Drawing

app.show = (view, params, isBack) => {
  if (!app.person && ["enrol", "enrol_again", "people", "pin", "revoked", "tablet"].indexOf(view) < 0) {
    app.wanted = SECTIONS.indexOf(view) >= 0 ? view : "";
    view = app.tablet ? "people" : "enrol";
  }
  if (app.isRevoked && view !== "enrol" && view !== "tablet") view = "revoked";
  const isOther = view !== app.view;
  app.view = view;
  app.params = params || {};
  if (isOther && !isBack) history.pushState({ view, params: app.params }, "", "/staff?lang=" + language);
  byId("view").dataset.view = "";
  if (isOther) say("", "");
  draw();
  if (isOther) {
    scrollTo(0, 0);
    const heading = byId("heading");
    if (heading) heading.focus({ preventScroll: true });
    if (view === "public" && app.tablet) showCard();
  }
};

function draw() {
  if (!app.store || !app.view) return;
  drawTop();
  drawUndo();
  const holder = byId("view");
  const isFresh = holder.dataset.view === app.view;
  if (isFresh && (LIVE.indexOf(app.view) < 0 || isPressed)) return;
  const drawn = SCREENS[app.view](app, app.params);
  if (isFresh && holder.firstChild && holder.firstChild.outerHTML === drawn.outerHTML) return;
  const focused = document.activeElement && holder.contains(document.activeElement) ? document.activeElement.id : "";
  holder.textContent = "";
  holder.appendChild(drawn);
  holder.dataset.view = app.view;
  if (focused && byId(focused)) byId(focused).focus({ preventScroll: true });
}

function drawTop() {
  byId("library").textContent = app.tablet ? app.tablet.library.name : "Placelibre";
  const pending = app.actions.filter((each) => each.state === "pending");
  const refused = app.actions.filter((each) => each.state === "refused");
  const since = pending.length ? ", " + fill(words.waiting_since, { time: timeOf(pending[0].time, app.clock.now()) }) : "";
  let text = app.isOnline === false ? words.line_lost : words.line_stored;
  if (pending.length) text = (app.isOnline === false ? words.line_lost + " · " : "") + count(words.waiting, pending.length) + since;
  if (refused.length) text += " · " + count(words.refused_count, refused.length);
  const tone = refused.length ? "is-wrong" : pending.length ? "is-waiting" : app.isOnline === false ? "is-lost" : "";
  const parts = [];
  if (app.tablet && app.isOnline !== null) {
    parts.push(element("button", { type: "button", id: "line", class: "line " + tone, text, onclick: () => app.show(app.person ? "record" : "tablet") }));
  }
  if (app.tablet) {
    parts.push(element("button", {
      type: "button", id: "me-button", text: app.person ? app.person.name : words.tablet_title, onclick: () => app.show("tablet"),
    }));
  }
  if (app.person) {
    parts.push(element("button", { type: "button", id: "lock-button", class: "icon", "aria-label": words.lock, title: words.lock, onclick: () => app.lock("") }, [
      drawing("M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3"),
    ]));
  }
  const drawn = element("div", { class: "me", id: "me" }, parts);
  const old = byId("me");
  if (old.outerHTML !== drawn.outerHTML && !isPressed) {
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    old.replaceWith(drawn);
    if (focused && byId(focused)) byId(focused).focus({ preventScroll: true });
  }
  const sections = byId("sections");
  sections.hidden = !app.person;
  document.body.classList.toggle("with-sections", Boolean(app.person));
  document.body.classList.toggle("with-pad", LIVE.indexOf(app.view) < 0);
  const waiting = app.desk ? app.desk.posts.filter((each) => each.key && each.approved === null).length : 0;
  sections.querySelectorAll("a").forEach((each) => {
    if (each.dataset.view === app.view) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
    if (each.dataset.view !== "posts") return;
    const badge = each.querySelector(".badge");
    if (badge) badge.remove();
    if (waiting) each.appendChild(element("span", { class: "badge", text: String(waiting) }));
  });
}

// The last tap, what has become of it, and a minute to take it back.
function drawUndo() {
  const bar = byId("undo");
  const last = app.last;
  const action = last && app.actions.find((each) => each.seq === last.seq);
  const leftS = last ? Math.ceil((last.until - Date.now()) / 1000) : 0;
  if (!action || leftS <= 0 || leftS > UNDO_MS / 1000 || !app.person || action.state === "taken_back") {
    bar.hidden = true;
    bar.textContent = "";
    return;
  }
  const said = {
    pending: words.said_kept, stored: words.said_stored, refused: fill(words.said_refused, { reason: action.reason }),
  }[action.state];
  const what = describe(app, action.kind, action.body, action.time);
  if (last.state !== action.state) {
    last.state = action.state;
    hear(what + ". " + said);
  }
  if (bar.hidden || bar.dataset.seq !== String(last.seq)) {
    bar.textContent = "";
    bar.appendChild(element("p", {}, [element("strong", { id: "undo-what", text: what }), element("span", { id: "undo-said" })]));
    bar.appendChild(element("button", { type: "button", id: "undo-button", onclick: () => app.takeBack(last.seq, last.id) }, [
      element("span", { text: words.undo }),
      element("span", { class: "left", id: "undo-left", "aria-hidden": "true" }),
    ]));
    bar.dataset.seq = String(last.seq);
    bar.hidden = false;
  }
  byId("undo-said").textContent = said;
  byId("undo-left").textContent = count(words.undo_left, leftS);
  byId("undo-button").hidden = action.state === "refused";
}

function say(text, tone) {
  const said = byId("said");
  said.textContent = text;
  said.className = ("said " + tone).trim();
}

function hear(text) {
  byId("heard").textContent = text;
}

// Beginning

function keptLanguage() {
  try {
    return localStorage.getItem(LANGUAGE);
  } catch (error) {
    return null;
  }
}

function followHands() {
  const active = () => {
    lastActive = Date.now();
    if (app.person) remember();
  };
  ["pointerdown", "keydown", "touchstart"].forEach((each) => document.addEventListener(each, active, { passive: true }));
  document.addEventListener("pointerdown", () => { isPressed = true; });
  ["pointerup", "pointercancel"].forEach((each) => document.addEventListener(each, () => {
    setTimeout(() => { isPressed = false; draw(); }, 0);
  }));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    if (link.dataset.language) {
      try {
        localStorage.setItem(LANGUAGE, link.dataset.language);
      } catch (error) {
        // Then it is chosen again next time.
      }
    } else if (link.dataset.view) {
      event.preventDefault();
      app.show(link.dataset.view);
    }
  });
  addEventListener("popstate", (event) => {
    if (event.state && SCREENS[event.state.view] && event.state.view !== "pin") app.show(event.state.view, event.state.params, true);
    else if (app.view) app.show("now", {}, true);
  });
  addEventListener("hashchange", () => {
    const code = invitation();
    if (code) invite(code);
  });
}

// The code of an invitation, taken out of the address before anybody can see it there.
function invitation() {
  const code = location.hash.replace(/^#/, "");
  if (!code || code === "content") return "";
  history.replaceState(history.state, "", location.pathname + location.search);
  return decodeURIComponent(code);
}

function invite(code) {
  if (app.tablet && !app.isRevoked) app.show("enrol_again", { code });
  else app.enrol(code);
}

function tick() {
  const hasJumped = app.clock.look();
  if (hasJumped) hurryPoll();
  const idle = Date.now() - lastActive;
  if (app.person && idle >= IDLE_MS) app.lock("");
  draw();
}

// The worker keeps the page for when there is no line. A newer one takes over while nobody is at the tablet.
async function startWorker() {
  if (!navigator.serviceWorker) return;
  let isReloading = false;
  const hadOne = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (!hadOne || isReloading) return;
    isReloading = true;
    location.reload();
  });
  try {
    const registration = await navigator.serviceWorker.register("/staff/sw.js", { scope: "/staff" });
    if (!registration) return;
    setInterval(() => registration.update().catch(() => {}), UPDATE_EVERY_MS);
    setInterval(() => {
      if (registration.waiting && !app.person && app.view === "people") registration.waiting.postMessage("take over");
    }, 5000);
  } catch (error) {
    // Without it everything works as long as the page is open.
  }
}

async function start() {
  const code = invitation();
  const query = new URLSearchParams(location.search);
  const kept = keptLanguage();
  if (kept && kept !== language && JSON.parse(byId("languages").textContent)[kept] && !query.get("lang")) {
    location.replace("/staff?lang=" + kept + (code ? "#" + code : ""));
    return;
  }
  app.store = await openStore();
  app.clock = makeClock(await app.store.get("offset"));
  app.tablet = (await app.store.get("tablet")) || null;
  app.desk = (await app.store.get("desk")) || null;
  app.isRevoked = Boolean(app.tablet) && (await app.store.get("revoked")) === app.tablet.key;
  if (app.desk) {
    setZone(app.desk.time_zone);
    app.desk.people.forEach((each) => { app.names[each.id] = each.name; });
  }
  await app.tokens();
  app.actions = await app.store.all();
  app.person = app.tablet && !app.isRevoked ? recall() : null;
  if (navigator.onLine === false) app.isOnline = false;
  sender = startSender(app);
  followHands();
  app.store.onChange(look);
  addEventListener("online", () => { hurryPoll(); });
  addEventListener("offline", () => app.tell({ isOnline: false }));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { tick(); hurryPoll(); } });
  setInterval(tick, 1000);
  setInterval(() => app.store.tidy(), 60000);
  if (code) invite(code);
  else if (!app.tablet) app.show("enrol", {}, true);
  else app.show(SECTIONS.indexOf(query.get("view")) >= 0 ? query.get("view") : "now", {}, true);
  followDesk();
  startWorker();
}

start();
