// The record: what the server knows that staff have said, together with what this tablet still has to send.

import { fill, timeOf, words } from "./staff-words.js";

const SWITCHES = { not_admitting: 1, throttle: 1, evacuation: 1 };

// Says in words what was said, of a tap of this tablet (its fields in `body`) or of an act of the server's.
export function describe(app, kind, fields, at) {
  const now = app.nowThere();
  const place = () => placeName(app, fields.zone);
  const until = () => timeOf(fields.until, now);
  const hasEnded = fields.until && Date.parse(fields.until) <= Date.parse(at) + 1000;
  if (SWITCHES[kind]) return words["is_" + kind + (fields.on ? "" : "_ended")];
  switch (kind) {
    case "head_count": return fill(words.is_recount, { place: place(), people: fields.people });
    case "held_seats": return fill(words.is_held, { place: place(), seats: fields.seats });
    case "queue_at_marker": return fill(words.is_marker, { place: markerName(app, fields.marker) });
    case "queue_length": return fields.people === 0 ? words.queue_none : fill(words.is_queue, { people: fields.people });
    case "queueing_time": return fill(words.is_queueing_time, { minutes: Math.round(fields.minutes) });
    case "ticket":
      return fill(words.is_ticket, { minutes: Math.round((Date.parse(at) - Date.parse(fields.joined)) / 60000) });
    case "notice":
      if (!fields.text || hasEnded) return words.is_notice_ended;
      return fill(words.is_notice, { until: until(), text: fields.text });
    case "closing": {
      if (hasEnded) return words.is_closing_ended;
      const reason = fields.reason || fields.text;
      return fill(words.is_closing, { until: until() }) + (reason ? " (" + reason + ")" : "");
    }
    case "mute": return hasEnded ? words.is_mute_ended : fill(words.is_mute, { until: until() });
    case "undo": {
      const name = fields.target.split("/").pop();
      const own = app.actions.find((each) => each.id === name);
      const act = own ? null : app.desk && app.desk.acts.find((each) => each.id === name);
      if (!own && !act) return words.is_undo_plain;
      const { at: then, fields: those } = own ? inItsTime(app, own) : { at: act.at, fields: act };
      return fill(words.is_undo, { what: describe(app, (own || act).kind, those, then) });
    }
    default: return kind;
  }
}

export function placeName(app, zone) {
  const found = zone && app.desk && app.desk.zones.find((each) => each.id === zone);
  return found ? found.name : zone || words.whole_library;
}

function markerName(app, marker) {
  const found = app.desk && app.desk.markers.find((each) => each.id === marker);
  return found ? found.name : marker;
}

export function personName(app, id, name) {
  if (!id) return words.act_with_key;
  const found = app.desk && app.desk.people.find((each) => each.id === id);
  return found ? found.name : name || (app.names && app.names[id]) || id;
}

// What a tap says, as it is sent.
export function readingOf(action) {
  return Object.assign({ id: action.id, time: action.time, library: action.library, kind: action.kind }, action.body);
}

// A tap is sent under a session of who made it. A person has another `since` with a new PIN, and so has somebody else
// who was given the same initials: the name tells.
export function maySend(action, tablet, people) {
  const known = people[action.person];
  return Boolean(known && known.session && action.library === tablet.library.id && isOf(action, known));
}

function isOf(action, person) {
  return !action.since || !person.since || action.since === person.since || action.name === person.name;
}

// Whether nobody can send it any more: who made it has left, or the tablet is of another library now.
export function isStranded(app, action) {
  if (action.state !== "pending" || !app.tablet || !app.desk) return false;
  if (!isHere(app, action)) return true;
  const person = app.desk.people.find((each) => each.id === action.person);
  return !person || !isOf(action, person);
}

// The times of a tap as those of a library whose day goes at another pace, as the server will have them.
export function inItsTime(app, action) {
  const at = app.libraryTime(Date.parse(action.time));
  const by = at - Date.parse(action.time);
  if (!by) return { at: action.time, fields: action.body };
  const fields = Object.assign({}, action.body);
  ["until", "joined"].forEach((each) => {
    if (fields[each]) fields[each] = new Date(Date.parse(fields[each]) + by).toISOString();
  });
  return { at: new Date(at).toISOString(), fields };
}

const RECORDED_WITHIN_MS = 60000; // what is stored is in the record by then

// Whether a tap of this tablet's own counts although the record does not have it: it is on its way.
function isUnderWay(app, action) {
  if (!isHere(app, action)) return false;
  if (action.state === "pending") return !isStranded(app, action);
  if (action.state !== "stored") return false;
  const age = app.clock.now() - (action.storedAt || 0);
  return Math.abs(age) < RECORDED_WITHIN_MS || action.storedAt > app.heardAt;
}

// By what another tablet's, or this one's under another name, is known.
export function targetOf(device, id) {
  return device ? device + "/" + id : id;
}

// Everything said, the newest first: `state` is one of the server's, or pending, stored, uncounted, stranded or refused
// of this tablet's own; `counts` says whether it may hold.
export function record(app) {
  const acts = app.desk ? app.desk.acts : [];
  const isKnown = {};
  acts.forEach((each) => { isKnown[each.id] = true; });
  const undone = {};
  const said = {};
  app.actions.forEach((each) => {
    if (each.kind !== "undo") return;
    if (isUnderWay(app, each)) undone[each.body.target] = each;
    if (each.state === "pending" || each.state === "stored") said[each.body.target] = each;
  });
  const rows = app.actions.filter((each) => !isKnown[each.id] && isShown(app, each)).map((each) => {
    const target = targetOf(each.device, each.id);
    const { at, fields } = inItsTime(app, each);
    const isTakenBack = Boolean(said[target] || said[each.id]);
    return {
      key: each.id,
      seq: each.seq,
      kind: each.kind,
      fields,
      at,
      who: each.person,
      name: each.name,
      state: isTakenBack ? "taken_back" : isStranded(app, each) ? "stranded" : each.state,
      counts: !isTakenBack && isUnderWay(app, each),
      isOwn: true,
      target,
      reason: each.reason,
      waits: each.state === "pending" && !app.hasSession[each.person],
    };
  });
  acts.forEach((each) => {
    const target = targetOf(each.device, each.id);
    const isTakenBack = Boolean(undone[target] || undone[each.id]);
    rows.push({
      key: target,
      kind: each.kind,
      fields: each,
      at: each.at,
      who: each.by,
      state: isTakenBack ? "taken_back" : each.state,
      counts: !isTakenBack && each.state === "holds",
      isOwn: false,
      target,
      note: each.note,
      takenBackAt: each.taken_back_at,
      takenBackBy: each.taken_back_by,
    });
  });
  return rows.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
}

function isShown(app, action) {
  if (action.state === "pending" || action.state === "refused") return true;
  return isHere(app, action) && (action.kind !== "undo" || action.state !== "stored");
}

function isHere(app, action) {
  return Boolean(app.tablet) && action.library === app.tablet.library.id;
}

// What holds of a kind as far as this tablet knows, its own unsent taps included; null if nothing does.
export function holding(app, kinds, zone) {
  const found = record(app).find((each) => (
    each.counts && kinds.indexOf(each.kind) >= 0 && (zone === undefined || (each.fields.zone || null) === zone)
  ));
  if (!found) return null;
  const { kind, fields } = found;
  if (SWITCHES[kind]) return fields.on ? found : null;
  if (kind === "notice" || kind === "closing" || kind === "mute") {
    if (Date.parse(fields.until) <= app.nowThere() || (kind === "notice" && !fields.text)) return null;
  }
  return found;
}
