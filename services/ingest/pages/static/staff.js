// The staff's tablet: what it knows, who is at it, and what is shown. Everything a tap does goes through the store first.

import { describe, inItsTime, isStranded, targetOf } from "./staff-acts.js";
import { LOST, call, makeClock } from "./staff-line.js";
import { isRight, makeVerifier } from "./staff-pin.js";
import * as screens from "./staff-screens.js";
import { startSender } from "./staff-sender.js";
import { Full, LAST, ROOM, openStore } from "./staff-store.js";
import { count, drawing, element, fill, language, setZone, timeOf, words } from "./staff-words.js";

const IDLE_MS = 10 * 60 * 1000; // then a PIN is asked for again
const UNDO_MS = 60 * 1000;
const TRIES = 5; // wrong PINs without a connection; with one the server counts
const LOCKED_MS = 5 * 60 * 1000;
const LOCKED_MS_MAX = 60 * 60 * 1000; // doubles up to this with every further row, as at the server
const SIGN_IN_LIMIT_MS = 8000; // somebody stands there waiting; then the tablet checks by itself
const POLL_WAIT_S = 25;
const POLL_LIMIT_MS = 40000;
const POLL_PAUSES_S = [1, 2, 4, 8, 15, 30];
const POLL_RETRY_S_MAX = 60;
const POLL_AGAIN_MS = 2000; // at the least, after an answer that came at once although there was nothing new
const SLIP_MS = 2 * 60 * 1000; // a tap is after the one before it, unless that one's clock was wrong
const WRONG_MS = 30 * 1000; // less is a clock that goes too fast or too slow, which the server allows for
const ENTERED_MS = 30 * 1000;
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
  actions: [], hasSession: {}, isOnline: null, lostAt: 0, heardAt: 0, isSending: false, isRevoked: false,
  card: null, view: "", params: {}, last: null, version: document.querySelector("script[type=module]").src.split("/").slice(-2)[0],
};
let sender = null;
let people = {}; // by id: {session, since, name, verifier, wrong, lockedUntil}
const life = newId(); // of this page: its own taps are put right when its clock is
let etag = "";
let lastActive = Date.now();
let enteredAt = 0; // when somebody last entered a PIN
let isPressed = false;
let poll = {};
let wakePoll = null;

// What is known

app.tell = (changes) => {
  const wasOnline = app.isOnline;
  Object.assign(app, changes);
  if (wasOnline !== false && app.isOnline === false) {
    app.lostAt = Date.now();
    hurryPoll();
  }
  if (!wasOnline && app.isOnline) sender.wake(true);
  draw();
};

// What time it is in the library at a moment of the server's time: a simulated day goes at a pace of its own.
app.libraryTime = (ms) => {
  if (!app.desk || app.desk.clock === "wall") return ms;
  const clock = app.desk.public ? app.desk.public.clock : null;
  const speed = app.desk.clock === "recorded" ? 0 : clock ? clock.speed : 1;
  return Date.parse(app.desk.library_now) + (ms - Date.parse(app.desk.now)) * speed;
};

app.nowThere = () => app.libraryTime(app.clock.now());

app.tokens = async () => {
  people = (await app.store.get("people")) || {};
  const found = {};
  Object.keys(people).forEach((id) => { if (people[id].session) found[id] = people[id].session; });
  app.hasSession = found;
  return found;
};

async function changePerson(id, change) {
  const kept = await app.store.turn(["people"], (found) => {
    const all = found.people || {};
    return { people: Object.assign({}, all, { [id]: Object.assign({}, all[id], change(all[id] || {})) }) };
  });
  people = kept.people;
  await app.tokens();
}

// The session is over: it is dropped, and its person asked for the PIN. What checks the PIN without a line stays.
async function dropSession(person, token) {
  await changePerson(person, (found) => (found.session === token ? { session: null } : {}));
  const hasAnother = Boolean(people[person].session); // they have signed in anew, perhaps in another tab
  if (!hasAnother && app.person && app.person.id === person) app.lock(words.session_over);
}

app.lostAccess = async (code, person, token) => {
  const { tablet } = await app.store.read(["tablet"]);
  if (code === "session-over" && person) return dropSession(person, token);
  if (code !== "unauthenticated" || !tablet) return;
  if (token !== tablet.key && (await isEnrolled(tablet))) return person ? dropSession(person, token) : undefined;
  // Names, sessions and what checks PINs go; taps stay. Unless another tab has enrolled it anew meanwhile.
  await app.store.turn(["tablet"], ({ tablet: found }) => (
    found && found.key === tablet.key ? { revoked: tablet.key, people: undefined, desk: undefined } : {}
  ));
  await look();
};

// A session that is unknown may be of a tablet that is not; its own key tells.
async function isEnrolled({ key }) {
  const found = await call("GET", "/v1/staff/desk?lang=" + language, { token: key });
  return found.code !== "unauthenticated";
}

// Looks at what is kept, which another tab may have changed.
async function look() {
  const kept = await app.store.read(["tablet", "revoked", "desk"]);
  await app.tokens();
  app.actions = await app.store.all();
  adopt(kept);
  draw();
  sender.wake(false);
}

// Takes the tablet over that this is by now, however it came to be that.
function adopt({ tablet, revoked, desk }) {
  const key = tablet ? tablet.key : "";
  const isRevoked = Boolean(tablet) && revoked === key;
  if (key === (app.tablet ? app.tablet.key : "") && isRevoked === app.isRevoked) return;
  Object.assign(app, { tablet: tablet || null, isRevoked, desk: isRevoked ? null : desk || null, person: null, last: null });
  app.names = {};
  if (app.desk) know(app.desk);
  etag = "";
  remember();
  hurryPoll();
  app.wanted = "";
  app.show(isRevoked ? "revoked" : tablet ? "people" : "enrol");
}

function know(desk) {
  setZone(desk.time_zone);
  desk.people.forEach((each) => { app.names[each.id] = each.name; });
}

// Enrolling and signing in

app.enrol = async (code) => {
  app.show("enrol", { code });
  say(words.moment, "");
  const nonce = await nonceFor(code);
  const found = await call("POST", "/v1/staff/enrolments", { body: { code, nonce } });
  if (found.status !== 201) {
    say("", "");
    const fault = found.code === "invitation-over" ? words.enrol_over : found.status === LOST ? words.no_answer : found.answer.detail;
    return app.show("enrol", { code: found.code === "invitation-over" ? "" : code, fault });
  }
  const { library, tablet, key } = found.answer;
  // In one step: sessions are of the tablet that it was, and of the library.
  await app.store.turn([], () => ({
    tablet: { library, tablet, key }, people: {}, desk: undefined, revoked: undefined, enrolling: undefined,
  }));
  await look();
  if (app.view === "enrol") app.show("people"); // the same key again, of an invitation whose answer was lost
  say(fill(words.enrolled, { library: library.name }), "");
};

// An invitation is used once, by whoever sends this with it; should the answer be lost, the same one is asked again.
async function nonceFor(code) {
  const kept = await app.store.turn(["enrolling"], ({ enrolling }) => (
    enrolling && enrolling.code === code ? {} : { enrolling: { code, nonce: newId() } }
  ));
  return kept.enrolling.nonce;
}

// Answers with what is wrong, or with nothing when somebody is in.
app.signIn = async (person, pin) => {
  const found = await call("POST", "/v1/staff/sessions", {
    token: app.tablet.key, body: { person: person.id, pin }, limitMs: SIGN_IN_LIMIT_MS,
  });
  if (found.status === 201) {
    const verifier = await makeVerifier(pin);
    const old = (people[person.id] || {}).session;
    const { since, name } = person;
    await changePerson(person.id, () => ({ session: found.answer.session, since, name, verifier, wrong: 0, lockedUntil: 0 }));
    if (old) call("DELETE", "/v1/staff/sessions/current", { token: old });
    app.isOnline = true;
    enter(person);
    return "";
  }
  if (found.status === LOST || found.status >= 500) {
    app.tell({ isOnline: found.status !== LOST });
    return signInHere(person, pin);
  }
  if (found.code === "unauthenticated") {
    await app.lostAccess("unauthenticated", null, app.tablet.key);
    return "";
  }
  if (found.code === "wrong-pin") {
    const left = found.answer.left;
    await changePerson(person.id, (known) => ({ wrong: (known.wrong || 0) + 1 }));
    return typeof left === "number" && left > 0 ? count(words.pin_wrong, left) : words.pin_wrong_plain;
  }
  if (found.status === 429) {
    const lockedUntil = app.clock.now() + found.retryAfterS * 1000;
    await changePerson(person.id, () => ({ lockedUntil })); // holds without a line as well
    return fill(words.pin_locked, { time: timeOf(lockedUntil, app.clock.now()) });
  }
  return found.answer.detail;
};

async function signInHere(person, pin) {
  const known = people[person.id] || {};
  if (!known.verifier) return fill(words.pin_unknown_here, { name: person.name });
  const locked = (known.lockedUntil || 0) - app.clock.now();
  if (locked > 0 && locked <= LOCKED_MS_MAX) return fill(words.pin_locked, { time: timeOf(known.lockedUntil, app.clock.now()) });
  const wrong = (known.wrong || 0) + 1;
  await changePerson(person.id, () => ({ wrong })); // before it is looked at: whoever closes the page has tried
  if (await isRight(pin, known.verifier)) {
    await changePerson(person.id, () => ({ wrong: 0, lockedUntil: 0 }));
    enter(person);
    return "";
  }
  if (wrong % TRIES) return count(words.pin_wrong, TRIES - (wrong % TRIES));
  const lockedUntil = app.clock.now() + Math.min(LOCKED_MS * Math.pow(2, wrong / TRIES - 1), LOCKED_MS_MAX);
  await changePerson(person.id, () => ({ lockedUntil }));
  return fill(words.pin_locked, { time: timeOf(lockedUntil, app.clock.now()) });
}

function enter(person) {
  app.person = person;
  app.notice = "";
  lastActive = enteredAt = Date.now();
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

// `body` is what it says, or makes that of the time in milliseconds. `moves` names the times in it which go along should
// that of the tap be put right.
app.tap = async (kind, body, { goesBack, moves } = {}) => {
  const { id: person, name, since } = app.person;
  const tapped = { id: newId(), library: app.tablet.library.id, person, name, since, kind, life, mark: app.clock.mark() };
  let action;
  try {
    action = await app.store.add((last) => {
      const now = app.clock.now();
      const at = last >= now && last - now < SLIP_MS ? last + 1 : now;
      const said = typeof body === "function" ? body(at) : body;
      return Object.assign({}, tapped, { body: said, time: new Date(at).toISOString(), moves: moves || [], state: "pending", sent: false });
    });
  } catch (error) {
    say(error instanceof Full ? count(words.store_full, ROOM) : words.store_failed, "is-wrong");
    return "";
  }
  if (kind !== "undo") app.last = { seq: action.seq, until: Date.now() + UNDO_MS, state: "" };
  if (goesBack) app.show("now");
  await look();
  return "";
};

// Before it was ever sent, a tap is taken back here; after that only by another reading, which names the tablet as which
// it was sent: this one may have another name by now.
app.takeBack = async (seq, target) => {
  app.last = null; // a second tap on the button is not another one
  const taken = seq ? await app.store.change([seq], (each) => (
    each.state === "pending" && !each.sent ? Object.assign({}, each, { state: "taken_back" }) : undefined
  )) : [];
  if (app.view === "take_back") app.show("record");
  if (taken.length) {
    hear(words.said_taken_back);
    await look();
  } else {
    const own = seq ? (await app.store.all()).find((each) => each.seq === seq) : null;
    await app.tap("undo", { target: own ? targetOf(own.device, own.id) : target });
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
    let found = { isWell: false, pauseMs: 0 };
    try {
      found = await askForDesk();
    } catch (error) {
      // Something on this tablet is out of order for a moment; it goes on.
    }
    const pauseMs = found.isWell ? 0 : POLL_PAUSES_S[Math.min(failures, POLL_PAUSES_S.length - 1)] * 1000;
    failures = found.isWell ? 0 : failures + 1;
    if (pauseMs || found.pauseMs) await pausePoll(Math.max(pauseMs, found.pauseMs));
  }
}

// Answers whether all was well, and how long to wait at the least.
async function askForDesk() {
  if (!app.tablet || app.isRevoked || (document.hidden && !app.actions.some((each) => each.state === "pending"))) {
    return { isWell: true, pauseMs: POLL_AGAIN_MS };
  }
  const session = app.person && (people[app.person.id] || {}).session;
  const token = session || app.tablet.key;
  const waits = etag && app.isOnline ? "&after=" + encodeURIComponent(etag.replace(/^W\//, "")) + "&wait=" + POLL_WAIT_S : "";
  poll = {};
  const asked = poll;
  const found = await call("GET", "/v1/staff/desk?lang=" + language + waits, {
    token, limitMs: waits ? POLL_LIMIT_MS : undefined, signal: asked,
  });
  if (asked.isCut) return { isWell: true, pauseMs: 0 }; // somebody else is at the tablet now, or the line has changed
  if (found.status === 200 && found.answer && found.answer.library) {
    await takeDesk(found);
    return { isWell: true, pauseMs: 0 };
  }
  if (found.status === 304) {
    await hearTime(app.clock.learnOfDate(found.date, found.tookMs));
    app.tell({ isOnline: true });
    askForPin();
    return { isWell: true, pauseMs: found.tookMs < POLL_AGAIN_MS ? POLL_AGAIN_MS : 0 };
  }
  // A server of ours that has nothing to show may still take taps.
  app.tell({ isOnline: found.status !== LOST });
  if (found.status === 401) await app.lostAccess(found.code, session && app.person ? app.person.id : null, token);
  return { isWell: false, pauseMs: found.status === 401 ? POLL_AGAIN_MS : Math.min(found.retryAfterS, POLL_RETRY_S_MAX) * 1000 };
}

// Whoever came in while there was no line, or whose session has ended at another tab, is asked for the PIN once there is
// one again: nothing of theirs can be sent. Not at once, lest nobody gets to tap where only signing in fails.
function askForPin() {
  const isIn = app.person && !app.hasSession[app.person.id];
  if (isIn && Math.abs(Date.now() - enteredAt) > ENTERED_MS) app.lock(words.session_over);
}

// The server was heard, and what time it is there. Taps that were made under a wrong time and are still here are put right.
async function hearTime(lesson) {
  app.heardAt = app.clock.now();
  const { heardAt } = app;
  app.store.put("offset", app.clock.offset()).catch(() => {});
  app.store.put("heard", heardAt).catch(() => {});
  if (!lesson || !isFar(lesson.by)) return;
  const wrong = (await app.store.all()).filter((each) => (
    each.life === life && each.state === "pending" && !each.sent && each.mark.lesson === lesson.number && each.mark.leaps >= lesson.after
  ));
  if (!wrong.length) return;
  const moved = (iso) => new Date(Date.parse(iso) + lesson.by).toISOString();
  const put = await app.store.change(wrong.map((each) => each.seq), (each) => {
    if (each.sent || each.state !== "pending") return undefined;
    const body = Object.assign({}, each.body);
    each.moves.forEach((name) => { body[name] = moved(body[name]); });
    return Object.assign({}, each, { time: moved(each.time), body, mark: app.clock.mark() });
  });
  const newest = Math.max(...put.map((each) => Date.parse(each.time)));
  await app.store.put(LAST, newest);
}

const isFar = (ms) => Math.abs(ms) > WRONG_MS;

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

async function takeDesk({ answer, etag: tag, tookMs }) {
  const isNew = tag !== etag || !app.desk;
  etag = tag || "";
  await hearTime(app.clock.learn(answer.now, tookMs));
  app.desk = answer;
  know(answer);
  app.tell({ isOnline: true });
  askForPin();
  if (!isNew) return;
  app.store.put("desk", answer).catch(() => {}); // the copy is for opening without a line; the next one will do
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
  if (isFresh) drawWhoChecks();
  if (isFresh && (LIVE.indexOf(app.view) < 0 || isPressed)) return;
  const drawn = SCREENS[app.view](app, app.params);
  if (isFresh && holder.firstChild && holder.firstChild.outerHTML === drawn.outerHTML) return;
  const focused = document.activeElement && holder.contains(document.activeElement) ? document.activeElement.id : "";
  holder.textContent = "";
  holder.appendChild(drawn);
  holder.dataset.view = app.view;
  if (focused && byId(focused)) byId(focused).focus({ preventScroll: true });
}

// A PIN that is half typed stays; a lock that the tablet made itself is not the server's, which is asked from now on.
function drawWhoChecks() {
  const hint = byId("pin-hint");
  const isHere = app.isOnline === false;
  if (!hint || hint.hidden !== isHere) return;
  hint.hidden = !isHere;
  if (!isHere) byId("pad-fault").textContent = "";
}

function drawTop() {
  byId("library").textContent = app.tablet ? app.tablet.library.name : "Placelibre";
  const pending = app.actions.filter((each) => each.state === "pending" && !isStranded(app, each));
  const refused = app.actions.filter((each) => each.state === "refused" || isStranded(app, each));
  const first = pending.length ? inItsTime(app, pending[0]).at : "";
  const since = first ? ", " + fill(words.waiting_since, { time: timeOf(first, app.nowThere()) }) : "";
  const text = [];
  if (app.isOnline === false || !pending.length) text.push(app.isOnline === false ? words.line_lost : words.line_stored);
  if (pending.length) text.push(element("span", {}, [count(words.waiting, pending.length), element("span", { class: "wide", text: since })]));
  if (refused.length) text.push(count(words.refused_count, refused.length));
  const said = element("span", {}, text.map((each, index) => element("span", {}, [index ? " · " : "", each])));
  const tone = refused.length ? "is-wrong" : pending.length ? "is-waiting" : app.isOnline === false ? "is-lost" : "";
  const parts = [];
  if (app.tablet && !app.isRevoked && app.isOnline !== null) {
    parts.push(element("button", { type: "button", id: "line", class: "line " + tone, onclick: () => app.show(app.person ? "record" : "tablet") }, [said]));
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
    pending: words.said_kept, stored: words.said_stored, uncounted: words.said_uncounted, refused: fill(words.said_refused, { reason: action.reason }),
  }[action.state];
  const { at, fields } = inItsTime(app, action);
  const what = describe(app, action.kind, fields, at);
  if (last.state !== action.state) {
    last.state = action.state;
    hear(what + ". " + said);
  }
  if (bar.hidden || bar.dataset.seq !== String(last.seq)) {
    bar.textContent = "";
    bar.appendChild(element("p", {}, [element("strong", { id: "undo-what", text: what }), element("span", { id: "undo-said" })]));
    bar.appendChild(element("button", { type: "button", id: "undo-button", onclick: () => app.takeBack(last.seq, "") }, [
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

function keepLanguage(tag) {
  try {
    localStorage.setItem(LANGUAGE, tag);
  } catch (error) {
    // Then it is chosen again next time.
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
    if (link.dataset.language) keepLanguage(link.dataset.language);
    else if (link.dataset.view) {
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
  try {
    return decodeURIComponent(code);
  } catch (error) {
    return ""; // of something else
  }
}

function invite(code) {
  if (app.tablet && !app.isRevoked) app.show("enrol_again", { code });
  else app.enrol(code);
}

function tick() {
  if (app.clock.look()) {
    app.store.put("offset", app.clock.offset()).catch(() => {}); // it was set back: what is kept would be off by as much
    hurryPoll();
  }
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
  if (!kept && query.get("lang") === language) keepLanguage(language); // the home screen opens it without one
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
    know(app.desk);
  }
  app.heardAt = (await app.store.get("heard")) || 0;
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
  setInterval(() => app.store.tidy().catch(() => {}), 60000);
  if (code) invite(code);
  else if (!app.tablet) app.show("enrol", {}, true);
  else app.show(SECTIONS.indexOf(query.get("view")) >= 0 ? query.get("view") : "now", {}, true);
  followDesk();
  startWorker();
}

start();
