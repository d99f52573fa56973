// The screens. Each is drawn from what the tablet knows; those without anything half typed are drawn anew as it changes.

import { describe, holding, personName, placeName, record } from "./staff-acts.js";
import { pad, untilChoices } from "./staff-pads.js";
import { count, element, fill, languageName, language, timeOf, words } from "./staff-words.js";

const TEXT_MAX = 280;
const MINUTES_MAX = 720;
const INCREDIBLE = 2; // times what fits; the server refuses more
const QUEUE_MAX = 2000; // more has a digit too many
const PIN_MAX = 8;
const AGAIN_MS = 600; // two taps on one button within this are one, of a hand that is not sure

const named = (name) => fill(words.label, { name }) + " "; // before what it is of
const heading = (text) => element("h1", { id: "heading", tabindex: "-1", text });
const button = (id, text, onclick, more) => element("button", Object.assign({ type: "button", id, text, onclick }, more));

function head(app, title) {
  return element("div", { class: "head" }, [button("back", words.back, () => app.show("now")), heading(title)]);
}

let pressed = { id: "", at: 0 };

function isAgain(id) {
  const at = Date.now();
  if (id === pressed.id && Math.abs(at - pressed.at) < AGAIN_MS) return true;
  pressed = { id, at };
  return false;
}

// Unless another button was tapped in between.
document.addEventListener("click", (event) => {
  const found = event.target.closest("button");
  if (found && found.id !== pressed.id) pressed = { id: "", at: 0 };
}, true);

// `time` is when it is to end there, for the library; a reading says it by the clock of its own time.
const ends = (app, time, at) => new Date(at + time - app.libraryTime(at)).toISOString();

function big(id, label, { under, number, isOn, isHere, onclick, isPressed, danger }) {
  const classes = ["big", isOn ? "is-on" : "", isHere ? "is-here" : "", danger ? "danger" : ""].filter(Boolean).join(" ");
  const press = () => { if (!isAgain(id)) onclick(); };
  return element("button", { type: "button", id, class: classes, onclick: press, "aria-pressed": isPressed }, [
    number === undefined ? null : element("span", { class: "number", text: number === null ? "–" : String(number) }),
    element("span", { text: label }),
    under ? element("span", { class: "under", text: under }) : null,
  ]);
}

function section(id, title, parts, hint) {
  return element("section", { "aria-labelledby": id }, [
    element("h2", { id, text: title }),
    hint ? element("p", { class: "hint", text: hint }) : null,
  ].concat(parts));
}

// Enrolling, and who it is

const openly = () => (window.isSecureContext ? null : element("p", { class: "said is-look", text: words.insecure_pin }));

export function enrol(app, { code, fault }) {
  const input = element("input", { id: "code", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true });
  input.value = code || "";
  const form = element("form", { class: "sheet form", onsubmit: (event) => {
    event.preventDefault();
    app.enrol(input.value.trim().replace(/^.*#/, ""));
  } }, [
    element("label", { for: "code", text: words.enrol_code }),
    input,
    element("div", { class: "stack" }, [element("button", { type: "submit", id: "enrol", class: "big main", text: words.enrol_go })]),
  ]);
  return element("div", { class: "views" }, [
    heading(words.enrol_title),
    fault ? element("p", { class: "said is-wrong", role: "alert", text: fault }) : null,
    element("p", { class: "hint", text: words.enrol_how }),
    openly(),
    element("div", { class: "stack" }, [form]),
    languages(),
  ]);
}

export function enrolAgain(app, { code }) {
  return element("div", { class: "form" }, [
    heading(fill(words.enrol_again, { library: app.tablet.library.name })),
    element("div", { class: "stack" }, [
      button("enrol-anew", words.enrol_anew, () => app.enrol(code), { class: "big main" }),
      button("enrol-keep", words.enrol_keep, () => app.show("now"), { class: "big" }),
    ]),
  ]);
}

export function revoked(app) {
  return element("div", { class: "views" }, [
    heading(words.revoked_title),
    element("p", { class: "hint", text: words.revoked }),
    element("div", { class: "stack" }, [button("enrol-anew", words.enrol_title, () => app.show("enrol", {}), { class: "big main" })]),
    waiting(app),
  ]);
}

export function people(app) {
  const list = app.desk ? app.desk.people : [];
  return element("div", { class: "views" }, [
    heading(words.who),
    openly(),
    app.notice ? element("p", { class: "said is-look", role: "status", text: app.notice }) : null,
    app.desk && !list.length ? element("p", { class: "hint", text: words.nobody }) : null,
    app.desk ? null : element("p", { class: "hint", text: app.isOnline === false ? words.no_answer : words.moment }),
    element("div", { class: "tiles" }, list.map((each) => (
      button("person-" + each.id, each.name, () => app.show("pin", { person: each }), { class: "big" })
    ))),
    languages(),
  ]);
}

export function pin(app, { person }) {
  return element("div", { class: "pads" }, [
    element("div", { class: "pad-top" }, [
      element("div", { class: "head" }, [button("back", words.back, () => app.show("people")), heading(fill(words.pin_of, { name: person.name }))]),
      element("p", { class: "hint", id: "pin-hint", hidden: app.isOnline !== false, text: words.pin_checked_here }),
    ]),
    pad({ name: fill(words.pin_of, { name: person.name }), digits: PIN_MAX, isPin: true, onOk: (typed) => app.signIn(person, typed) }),
  ]);
}

// Now

export function now(app) {
  if (!app.desk) return element("div", {}, [heading(words.nav_now), element("p", { class: "hint", text: words.moment })]);
  return element("div", {}, [
    element("h1", { id: "heading", class: "heard", tabindex: "-1", text: words.nav_now }),
    sentence(app),
    element("div", { class: "desk" }, [
      element("div", {}, [queue(app)]),
      element("div", {}, [recounts(app), door(app), toThePublic(app)]),
    ]),
  ]);
}

function sentence(app) {
  const status = app.desk.public;
  const kind = !status || isOld(app, status) ? "unknown" : status.state === "open" ? status.level : status.state;
  return element("button", { type: "button", id: "sentence", class: "sentence kind-" + kind, onclick: () => app.show("public") }, [
    element("span", { text: publicWords(app) }),
    element("span", { class: "under", text: age(app) }),
  ]);
}

// A recorded day is told as it was.
function isOld(app, status) {
  return status.clock.kind !== "recorded" && Date.parse(status.valid_until) <= app.nowThere();
}

function publicWords(app) {
  const status = app.desk.public;
  if (!status) return words.public_unknown;
  if (isOld(app, status)) return app.isOnline === false ? words.public_expired_offline : words.public_expired;
  const said = status.sentences[language] || status.sentences[Object.keys(status.sentences)[0]];
  return said ? said.long : words.public_unknown;
}

function age(app) {
  const status = app.desk.public;
  const time = timeOf(status ? status.as_of : app.desk.library_now, app.nowThere());
  return fill(app.isOnline === false ? words.public_offline : words.public_as_of, { time });
}

function queue(app) {
  const held = holding(app, ["queue_at_marker", "queue_length"]);
  const since = held ? fill(words.since, { time: timeOf(held.at, app.nowThere()) }) : "";
  const isNone = held && held.kind === "queue_length" && held.fields.people === 0;
  const isFigure = held && held.kind === "queue_length" && held.fields.people > 0;
  const place = (id, label, isHere, onclick, classes) => element("li", { class: [classes, isHere ? "is-here" : ""].join(" ").trim() }, [
    big(id, label, { isHere, under: isHere ? since : "", onclick, isPressed: isHere ? "true" : "false" }),
  ]);
  return section("queue-heading", words.queue, [
    element("ol", { class: "places" }, [
      place("queue-none", words.queue_none, isNone, () => app.tap("queue_length", { people: 0 }), "door"),
    ].concat(app.desk.markers.map((each) => place(
      "marker-" + each.id,
      each.name,
      held && held.kind === "queue_at_marker" && held.fields.marker === each.id,
      () => app.tap("queue_at_marker", { marker: each.id })
    )))),
    element("div", { class: "tiles" }, [
      big("queue-people", words.queue_people, {
        isHere: isFigure, number: isFigure ? held.fields.people : undefined, under: isFigure ? since : "",
        onclick: () => app.show("queue_people"),
      }),
      big("got-in", words.got_in, { onclick: () => app.show("got_in") }),
    ]),
  ], app.desk.markers.length ? words.queue_where : "");
}

function places(app) {
  const whole = { id: null, name: words.whole_library, capacity: app.desk.capacity, most_people: app.desk.most_people };
  return app.desk.zones.length ? app.desk.zones.concat([whole]) : [whole];
}

function estimate(app, zone) {
  const status = app.desk.public;
  if (!status || isOld(app, status)) return null;
  const found = zone === null ? status : status.zones.find((each) => each.id === zone);
  return found && found.people ? found.people.value : null;
}

function recounts(app) {
  const held = places(app).map((each) => holding(app, ["held_seats"], each.id)).filter(Boolean);
  const seats = held.reduce((sum, each) => sum + each.fields.seats, 0);
  return section("recount-heading", words.recount, [
    element("div", { class: "tiles" }, places(app).map((each) => {
      const last = holding(app, ["head_count"], each.id);
      return big("recount-" + (each.id || "all"), each.name, {
        number: estimate(app, each.id),
        under: last ? fill(words.last_said, { people: last.fields.people, time: timeOf(last.at, app.nowThere()) }) : "",
        onclick: () => app.show("recount", { place: each }),
      });
    }).concat([big("held", words.held_seats, {
      number: held.length ? seats : undefined,
      onclick: () => (places(app).length > 1 ? app.show("which_place") : app.show("held_seats", { place: places(app)[0] })),
    })])),
  ]);
}

function door(app) {
  const isNow = app.nowThere();
  const toggle = (kind) => {
    const held = holding(app, [kind]);
    return big(kind, words[kind], {
      isOn: Boolean(held),
      isPressed: held ? "true" : "false",
      under: held ? words.is_on + ", " + fill(words.since, { time: timeOf(held.at, isNow) }) : words.is_off,
      onclick: () => app.tap(kind, { on: !held }),
    });
  };
  const closed = holding(app, ["closing"]);
  const evacuation = holding(app, ["evacuation"]);
  return section("door-heading", words.at_the_door, [element("div", { class: "tiles" }, [
    toggle("not_admitting"),
    toggle("throttle"),
    big("closing", words.closing, {
      isOn: Boolean(closed),
      under: closed ? fill(words.until, { time: timeOf(closed.fields.until, isNow) }) : words.is_off,
      onclick: () => app.show("closing"),
    }),
    big("evacuation", words.evacuation, {
      danger: true,
      isOn: Boolean(evacuation),
      under: evacuation ? words.is_on + ", " + fill(words.since, { time: timeOf(evacuation.at, isNow) }) : words.is_off,
      onclick: () => app.show("evacuation"),
    }),
  ])]);
}

function toThePublic(app) {
  const notice = holding(app, ["notice"]);
  const mute = holding(app, ["mute"]);
  const until = (held) => (held ? fill(words.until, { time: timeOf(held.fields.until, app.nowThere()) }) : words.is_off);
  return section("words-heading", words.to_the_public, [element("div", { class: "tiles" }, [
    big("notice", words.notice, { isOn: Boolean(notice), under: until(notice), onclick: () => app.show("notice") }),
    big("mute", words.mute, { isOn: Boolean(mute), under: until(mute), onclick: () => app.show("mute") }),
  ])]);
}

// Figures

function figures(app, { title, kind, zone, capacity, figure, isOfPeople, shortcuts, fault, body, moves }) {
  const last = holding(app, [kind], zone);
  const known = isOfPeople ? estimate(app, zone) : null;
  const offered = shortcuts || (known === null ? [] : [{ label: fill(words.about_right, { people: known }), value: known }]);
  const lines = [
    isOfPeople ? fill(words.estimated_now, { people: known === null ? words.nobody_knows : known }) : "",
    last && figure ? fill(words.last_said, { people: last.fields[figure], time: timeOf(last.at, app.nowThere()) }) : "",
  ].filter(Boolean);
  const tooMany = (value) => (capacity && value > INCREDIBLE * capacity ? fill(words.too_many, { capacity }) : "");
  return element("div", { class: "pads" }, [
    element("div", { class: "pad-top" }, [head(app, title)].concat(lines.map((each) => element("p", { class: "hint", text: each })))),
    pad({
      name: words.figure, digits: 4, shortcuts: offered, fault: fault || tooMany,
      onOk: (value) => app.tap(kind, body(value), { goesBack: true, moves }),
    }),
  ]);
}

const within = (zone, fields) => (zone === null ? fields : Object.assign({ zone }, fields));

// What fits in the largest period: fewer may be let in just now than are inside. The server tells the most it takes.
const mostOf = (place) => (place.most_people ? place.most_people / INCREDIBLE : place.capacity);

export function recount(app, { place }) {
  return figures(app, {
    title: fill(words.ask_people, { place: place.name }), kind: "head_count", zone: place.id, capacity: mostOf(place),
    figure: "people", isOfPeople: true, body: (people) => within(place.id, { people }),
  });
}

export function heldSeats(app, { place }) {
  const most = mostOf(place);
  return figures(app, {
    title: fill(words.ask_seats, { place: place.name }), kind: "held_seats", zone: place.id,
    figure: "seats", fault: (value) => (value > most ? fill(words.too_many_seats, { capacity: most }) : ""),
    body: (seats) => within(place.id, { seats }),
  });
}

export function queuePeople(app) {
  return figures(app, {
    title: words.ask_queue, kind: "queue_length", figure: "people",
    fault: (value) => (value > QUEUE_MAX ? fill(words.too_long_queue, { most: QUEUE_MAX }) : ""), body: (people) => ({ people }),
  });
}

export function gotIn(app) {
  return figures(app, {
    title: words.ask_got_in, kind: "ticket", shortcuts: [],
    fault: (value) => (value > MINUTES_MAX ? words.too_long : ""),
    body: (minutes) => (at) => ({ joined: new Date(at - minutes * 60000).toISOString() }),
    moves: ["joined"],
  });
}

export function whichPlace(app) {
  return element("div", { class: "views" }, [head(app, words.held_seats), element("div", { class: "tiles" }, places(app).map((each) => (
    button("held-" + (each.id || "all"), each.name, () => app.show("held_seats", { place: each }), { class: "big" })
  )))]);
}

// Until when

function ending(app, kind, title, endWords, body, form) {
  const held = holding(app, [kind]);
  return element("div", { class: "form" }, [
    head(app, title),
    held ? element("div", { class: "stack" }, [
      element("p", { class: "said is-look", text: describe(app, held.kind, held.fields, held.at) }),
      button(kind + "-end", endWords, () => app.tap(kind, body, { goesBack: true, moves: ["until"] }), { class: "big main" }),
    ]) : null,
    form,
  ]);
}

export function closing(app) {
  const until = untilChoices(app, { week: false });
  const reason = element("input", { id: "reason", maxlength: String(TEXT_MAX), autocomplete: "off", "aria-describedby": "reason-hint" });
  const form = element("form", { onsubmit: (event) => {
    event.preventDefault();
    const time = until.chosen();
    if (time === null) return;
    app.tap("closing", (at) => ({ until: ends(app, time, at), reason: reason.value.trim() }), { goesBack: true, moves: until.moves() });
  } }, [
    until.node,
    element("label", { for: "reason", text: words.reason_label }),
    reason,
    element("p", { class: "hint", id: "reason-hint", text: words.reason_hint }),
    element("div", { class: "stack" }, [element("button", { type: "submit", id: "closing-go", class: "big main", text: words.closing_go })]),
  ]);
  return ending(app, "closing", words.closing_title, words.closing_end, (at) => ({ until: new Date(at).toISOString(), reason: "" }), form);
}

export function mute(app) {
  const until = untilChoices(app, { week: false });
  const form = element("form", { onsubmit: (event) => {
    event.preventDefault();
    const time = until.chosen();
    if (time !== null) app.tap("mute", (at) => ({ until: ends(app, time, at) }), { goesBack: true, moves: until.moves() });
  } }, [
    element("p", { class: "hint", text: words.mute_hint }),
    until.node,
    element("div", { class: "stack" }, [element("button", { type: "submit", id: "mute-go", class: "big main", text: words.mute_go })]),
  ]);
  return ending(app, "mute", words.mute_title, words.mute_end, (at) => ({ until: new Date(at).toISOString() }), form);
}

export function notice(app) {
  const until = untilChoices(app, { week: true });
  const text = element("textarea", { id: "notice-text", rows: "3", required: true, "aria-describedby": "notice-left" });
  const held = holding(app, ["notice"]);
  if (held) text.value = held.fields.text; // to be put right
  const left = element("p", { class: "hint", id: "notice-left" });
  const shown = element("p", {});
  const end = element("p", { class: "hint" });
  const go = element("button", { type: "submit", id: "notice-go", class: "big main", text: words.notice_go });
  const size = () => Array.from(text.value.trim()).length; // as the server counts: an emoji is one
  function draw() {
    const room = TEXT_MAX - size();
    left.textContent = (room < 0 ? "−" : "") + count(words.notice_left, Math.abs(room));
    left.className = room < 0 ? "said is-wrong" : "hint";
    go.disabled = room < 0;
    shown.textContent = text.value.trim() || "…";
    const at = until.peek();
    end.textContent = at === null ? "" : fill(words.until, { time: timeOf(at, app.nowThere()) });
  }
  text.addEventListener("input", draw);
  const form = element("form", { onchange: draw, novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    if (!size()) return text.focus();
    const time = until.chosen();
    if (time === null) return;
    app.tap("notice", (at) => ({ text: text.value.trim(), until: ends(app, time, at) }), { goesBack: true, moves: until.moves() });
  } }, [
    element("label", { for: "notice-text", text: words.notice_text }),
    text,
    left,
    until.node,
    element("h2", { text: words.notice_preview }),
    element("div", { class: "preview", "aria-live": "off" }, [shown, end]),
    element("div", { class: "stack" }, [go]),
  ]);
  draw();
  return ending(app, "notice", words.notice_title, words.notice_end, (at) => ({ text: "", until: new Date(at).toISOString() }), form);
}

// The second tap of two on the button that led here is not an answer.
function evacuate(app, event, on) {
  if (event.detail < 2) app.tap("evacuation", { on }, { goesBack: true });
}

export function evacuation(app) {
  const held = holding(app, ["evacuation"]);
  return element("div", { class: "form" }, [
    head(app, words.evacuation),
    held ? element("p", { class: "said is-look", text: describe(app, "evacuation", held.fields, held.at) }) : element("p", { text: words.evacuation_ask }),
    element("div", { class: "stack" }, [
      held
        ? button("evacuation-end", words.evacuation_end, (event) => evacuate(app, event, false), { class: "big main" })
        : button("evacuation-go", words.evacuation_go, (event) => evacuate(app, event, true), { class: "big main danger" }),
      button("evacuation-back", words.back, () => app.show("now"), { class: "big" }),
    ]),
  ]);
}

// The record

const TONES = {
  holds: "is-well", stored: "is-well", pending: "is-look", uncounted: "is-look", stranded: "is-wrong", refused: "is-wrong",
};

function stateWords(app, row) {
  switch (row.state) {
    case "holds": return words.act_holds;
    case "past": return words.act_past;
    case "stored": return words.act_stored;
    case "uncounted": return words.act_uncounted;
    case "pending": return words.act_waiting;
    case "stranded": return words.act_stranded;
    case "refused": return fill(words.act_refused, { reason: row.reason });
    default:
      return row.takenBackAt
        ? fill(words.act_taken_back_by, { name: personName(app, row.takenBackBy), time: timeOf(row.takenBackAt, app.nowThere()) })
        : words.act_taken_back;
  }
}

function entry(app, row) {
  const what = describe(app, row.kind, row.fields, row.at);
  const mayTakeBack = row.kind !== "undo" && (row.state === "holds" || row.state === "pending");
  return element("li", { class: row.state === "taken_back" ? "is-taken-back" : "" }, [
    element("p", {}, [
      element("span", { class: "what", text: what }),
      element("span", { class: "state " + (TONES[row.state] || ""), text: stateWords(app, row) }),
    ]),
    element("p", { class: "soft", text: fill(words.act_tapped, { name: personName(app, row.who, row.name), time: timeOf(row.at, app.nowThere()) }) }),
    row.note ? element("p", { class: "soft", text: row.note }) : null,
    row.waits && row.state === "pending" ? element("p", { class: "soft", text: fill(words.waits_for_pin, { name: personName(app, row.who) }) }) : null,
    app.person && mayTakeBack
      ? button("take-" + row.key, words.take_back, () => app.show("take_back", { row, what }), { "aria-label": named(words.take_back) + what })
      : null,
    row.state === "refused" || row.state === "stranded"
      ? button("forget-" + row.key, words.forget, () => app.forget(row.seq), { "aria-label": named(words.forget) + what })
      : null,
  ]);
}

export function theRecord(app) {
  const rows = record(app);
  return element("div", { class: "views" }, [
    heading(words.record_title),
    rows.length ? element("ol", { class: "list" }, rows.map((each) => entry(app, each))) : element("p", { class: "hint", text: words.record_none }),
  ]);
}

export function takeBack(app, { row, what }) {
  return element("div", { class: "form" }, [
    heading(fill(words.take_back_ask, { what })),
    element("div", { class: "stack" }, [
      button("take-back", words.take_back, () => app.takeBack(row.seq, row.target), { class: "big main" }),
      button("take-not", words.back, () => app.show("record"), { class: "big" }),
    ]),
  ]);
}

// Waiting taps, in the words of the record
function waiting(app) {
  const rows = record(app).filter((each) => each.isOwn && ["pending", "stranded", "refused"].indexOf(each.state) >= 0);
  if (!rows.length) return null;
  return element("ol", { class: "list", id: "waiting" }, rows.map((each) => entry(app, each)));
}

// The public, posts, gates

export function thePublic(app) {
  if (!app.desk) return element("div", {}, [heading(words.public_title), element("p", { class: "hint", text: words.moment })]);
  const status = app.desk.public;
  const isPending = app.actions.some((each) => each.state === "pending");
  return element("div", { class: "views" }, [
    heading(words.public_title),
    element("p", { class: app.isOnline === false ? "said is-look" : "hint", text: age(app) }),
    isPending ? element("p", { class: "said is-look", text: words.public_pending }) : null,
    element("div", { class: "stack" }, [
      app.card && !(status && isOld(app, status)) ? element("img", { class: "shared", src: app.card, alt: named(words.public_card) + publicWords(app), width: "1200", height: "630" }) : null,
      element("p", { class: "what", id: "public-words", text: publicWords(app) }),
    ]),
    section("notice-heading", words.public_notice, [
      status && status.notice && Date.parse(status.notice.until) > app.nowThere()
        ? element("div", { class: "preview" }, [
          element("p", { text: status.notice.text }),
          element("p", { class: "hint", text: fill(words.until, { time: timeOf(status.notice.until, app.nowThere()) }) }),
        ])
        : element("p", { class: "hint", text: words.public_no_notice }),
    ]),
  ]);
}

// What is shown without a connection is as old as the last answer.
function fromWhen(app) {
  if (app.isOnline !== false || !app.desk) return null;
  const heard = app.heardAt ? app.libraryTime(app.heardAt) : app.desk.library_now;
  return element("p", { class: "said is-look", text: fill(words.desk_offline, { time: timeOf(heard, app.nowThere()) }) });
}

export function posts(app) {
  const list = app.desk ? app.desk.posts : [];
  const budgets = app.desk ? app.desk.budgets : [];
  const isNow = app.nowThere();
  const isLost = app.isOnline === false;
  const muted = holding(app, ["mute"]);
  return element("div", { class: "views" }, [
    heading(words.posts_title),
    fromWhen(app),
    muted ? element("p", { class: "said is-look", id: "muted", text: describe(app, "mute", muted.fields, muted.at) }) : null,
    list.length ? null : element("p", { class: "hint", text: words.posts_none }),
    element("ul", { class: "list" }, list.map((each) => element("li", {}, [
      element("p", { class: "preview", lang: each.language, text: each.text }),
      element("p", { class: "soft", text: fill(words.post_in, { channel: each.channel, language: languageName(each.language) }) }),
      element("p", { text: postState(each, isNow) }),
      each.key && app.person ? element("div", { class: "buttons" }, [
        button("yes-" + each.key, words.approve, () => app.decide(each.key, true), { class: "main", disabled: isLost, "aria-label": named(words.approve) + each.text }),
        button("no-" + each.key, words.decline, () => app.decide(each.key, false), { disabled: isLost, "aria-label": named(words.decline) + each.text }),
      ]) : null,
    ]))),
    budgets.length ? section("budgets-heading", words.budgets, [element("ul", { class: "list" }, budgets.map((each) => element("li", {}, [
      element("span", { class: "what", text: named(each.channel) }),
      element("span", { text: count(words.budget_left, Math.max(each.daily_budget - each.spent, 0)) }),
      each.next_at && Date.parse(each.next_at) > isNow ? element("span", { class: "soft", text: ", " + fill(words.budget_next, { time: timeOf(each.next_at, isNow) }) }) : null,
    ])))]) : null,
  ]);
}

function postState(post, isNow) {
  if (post.approved === true) return words.post_approved;
  if (post.approved === false) return words.post_declined;
  const name = post.state === "held" ? "post_held" : "post_awaits";
  return post.until && Date.parse(post.until) > isNow ? fill(words[name + "_until"], { time: timeOf(post.until, isNow) }) : words[name];
}

export function gates(app) {
  const list = app.desk ? app.desk.gates : [];
  return element("div", { class: "views" }, [
    heading(words.gates_title),
    fromWhen(app),
    list.length ? null : element("p", { class: "hint", text: words.gates_none }),
    element("ul", { class: "list" }, list.map((each) => element("li", {}, [
      element("p", {}, [
        element("span", { class: "what", text: each.name }),
        element("span", { class: "state " + (each.is_well ? "is-well" : "is-wrong"), text: each.is_well ? words.gate_well : words.gate_unwell }),
      ]),
      element("p", { text: each.words }),
      each.last_heard ? element("p", { class: "soft", text: fill(words.gate_heard, { time: timeOf(each.last_heard, app.nowThere()) }) }) : null,
    ]))),
    element("div", { class: "stack" }, [
      element("p", {}, [element("a", { id: "devices-link", class: "choice", href: "/devices?lang=" + language, text: words.devices_link })]),
    ]),
  ]);
}

// The tablet itself

export function tablet(app) {
  const mine = app.person && app.actions.some((each) => each.state === "pending" && each.person === app.person.id);
  const off = app.clock.offMinutes();
  return element("div", { class: "views" }, [
    heading(words.tablet_title),
    app.tablet ? element("p", { text: fill(words.tablet_is, { tablet: app.tablet.tablet.name, library: app.tablet.library.name }) }) : null,
    app.person ? element("p", { text: fill(words.signed_in, { name: app.person.name }) }) : null,
    app.person ? element("div", { class: "tiles" }, [
      big("lock", words.lock, { onclick: () => app.lock("") }),
      mine ? null : big("sign-out", words.sign_out, { under: words.sign_out_hint, onclick: () => app.signOut() }),
    ]) : null,
    window.isSecureContext ? null : element("p", { class: "said is-look", id: "insecure", text: words.insecure }),
    app.store.isSafe === false ? element("p", { class: "hint", text: words.keeps_poorly }) : null,
    off ? element("p", { class: "hint", text: fill(words.clock_off, { duration: off }) }) : null,
    languages(),
    waiting(app),
    element("p", { class: "hint", text: words.version + " " + app.version }),
  ]);
}

function languages() {
  const names = JSON.parse(document.getElementById("languages").textContent);
  return section("language-heading", words.choose_language, [element("div", { class: "tiles" }, Object.keys(names).map((tag) => (
    element("a", {
      class: "choice", lang: tag, hreflang: tag, href: "/staff?lang=" + tag, "data-language": tag,
      "aria-current": tag === language ? "true" : null, text: names[tag],
    })
  )))]);
}
