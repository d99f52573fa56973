// The record: what the server knows that staff have said, together with what this tablet still has to send.

import { fill, timeOf, words } from "./staff-words.js";

const SWITCHES = { not_admitting: 1, throttle: 1, evacuation: 1 };

// Says in words what was said, of a tap of this tablet (its fields in `body`) or of an act of the server's.
export function describe(app, kind, fields, at) {
  const now = app.clock.now();
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
      const target = app.actions.find((each) => each.id === fields.target);
      return target ? fill(words.is_undo, { what: describe(app, target.kind, target.body, target.time) }) : words.is_undo_plain;
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

export function personName(app, id) {
  if (!id) return words.act_with_key;
  const found = app.desk && app.desk.people.find((each) => each.id === id);
  return found ? found.name : (app.names && app.names[id]) || id;
}

// Everything said, the newest first: `state` is one of the server's, or pending, stored or refused of this tablet's own.
export function record(app) {
  const acts = app.desk ? app.desk.acts : [];
  const isKnown = {};
  acts.forEach((each) => { isKnown[each.id] = true; });
  const undone = {};
  app.actions.forEach((each) => {
    if (each.kind === "undo" && (each.state === "pending" || each.state === "stored")) undone[each.body.target] = each;
  });
  const rows = app.actions.filter((each) => !isKnown[each.id] && (each.kind !== "undo" || each.state !== "stored"))
    .map((each) => ({
      key: each.id,
      seq: each.seq,
      kind: each.kind,
      fields: each.body,
      at: each.time,
      who: each.person,
      state: undone[each.id] ? "taken_back" : each.state,
      isOwn: true,
      target: each.id,
      reason: each.reason,
      waits: each.state === "pending" && !app.hasSession[each.person],
    }));
  const own = {};
  app.actions.forEach((each) => { own[each.id] = true; });
  acts.forEach((each) => {
    const target = own[each.id] ? each.id : each.device + "/" + each.id;
    rows.push({
      key: each.device + "/" + each.id,
      kind: each.kind,
      fields: each,
      at: each.at,
      who: each.by,
      state: undone[target] ? "taken_back" : each.state,
      isOwn: Boolean(own[each.id]),
      target,
      note: each.note,
      takenBackAt: each.taken_back_at,
      takenBackBy: each.taken_back_by,
    });
  });
  return rows.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
}

const HOLDING = { holds: 1, pending: 1, stored: 1 };

// What holds of a kind as far as this tablet knows, its own unsent taps included; null if nothing does.
export function holding(app, kinds, zone) {
  const found = record(app).find((each) => (
    HOLDING[each.state] && kinds.indexOf(each.kind) >= 0 && (zone === undefined || (each.fields.zone || null) === zone)
  ));
  if (!found) return null;
  const { kind, fields } = found;
  if (SWITCHES[kind]) return fields.on ? found : null;
  if (kind === "notice" || kind === "closing" || kind === "mute") {
    if (Date.parse(fields.until) <= app.clock.now() || (kind === "notice" && !fields.text)) return null;
  }
  return found;
}
