// Brings taps to the server: in order, one batch at a time, by one tab alone, again and again until they are stored.
// Every tap has an id of its own, so a batch whose answer was lost is sent again and counts once.

import { maySend, readingOf } from "./staff-acts.js";
import { LOST, call } from "./staff-line.js";

// An hour of taps goes in one request, which is stored as a whole: nothing half an hour old is looked at for itself.
const BATCH = 200; // 50 kB
const SMALL_BATCH = 20; // on a line too poor for the large one
const FAILURES_BEFORE_SMALL = 3;
const PAUSES_S = [1, 2, 4, 8, 16, 32, 60];
const LEASE_MS = 20000; // longer than a request may take
const LEASE_EVERY_MS = 5000;
const RETRY_AFTER_S_MAX = 120;
const AFTER_401_MS = 2000; // whatever went wrong, no tablet asks without a pause
const TRY_ANYWAY_MS = 60000;
const NOT_COUNTED = /not counted/; // as the receipt says of what came too late to change anything

export function startSender(app) {
  const me = String(Math.random());
  let failures = 0;
  let wake = null;
  let singly = 0; // so many more are sent one by one, to find the one that is refused

  const pause = (ms) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => { clearTimeout(timer); resolve(); };
  });

  async function forEver(mayGoOn) {
    for (;;) {
      if (!(await mayGoOn())) return;
      let waitMs;
      try {
        waitMs = await round();
      } catch (error) {
        waitMs = PAUSES_S[3] * 1000; // the store is out of order for a moment
      }
      await pause(waitMs);
    }
  }

  // Sends one batch; returns after how many milliseconds to look again. Whether there is a tablet, and who may speak,
  // is read anew each time: this tab may be the only one that may send, and another one that at which somebody works.
  async function round() {
    const { tablet, revoked, people } = await app.store.read(["tablet", "revoked", "people"]);
    if (!tablet || revoked === tablet.key || seemsLost()) return LEASE_EVERY_MS;
    const known = people || {};
    const ready = (await app.store.all()).filter((each) => each.state === "pending" && maySend(each, tablet, known));
    if (!ready.length) return LEASE_EVERY_MS;
    const most = singly > 0 ? 1 : failures >= FAILURES_BEFORE_SMALL ? SMALL_BATCH : BATCH;
    // From here on it may be stored, whatever becomes of this page: taking it back needs an undo.
    const batch = await app.store.change(ready.slice(0, most).map((each) => each.seq), (each) => (
      each.state === "pending" ? Object.assign({}, each, { sent: true, device: each.device || tablet.tablet.id }) : undefined
    ));
    if (!batch.length) return 0;
    app.tell({ isSending: true });
    const sessions = batch.map((each) => known[each.person].session);
    const answer = await call("POST", "/v1/staff/readings", {
      token: tablet.key,
      body: { readings: batch.map((each, index) => ({ session: sessions[index], reading: readingOf(each) })) },
    });
    return settle(batch, sessions, tablet, answer);
  }

  // The desk's requests find out when the line is back; should they be the ones that do not get through, it tries itself.
  function seemsLost() {
    return app.isOnline === false && (navigator.onLine === false || Math.abs(Date.now() - app.lostAt) < TRY_ANYWAY_MS);
  }

  async function settle(batch, sessions, tablet, { status, answer, code, retryAfterS }) {
    const ids = answer && answer.readings ? answer.readings.map((each) => each.id) : [];
    if (status === 202 && batch.every((each) => ids.indexOf(each.id) >= 0)) {
      await finish(batch, (each) => {
        const remark = answer.readings[ids.indexOf(each.id)].remark || "";
        return { state: NOT_COUNTED.test(remark) ? "uncounted" : "stored", remark, storedAt: app.clock.now() };
      });
      if (singly > 0) singly -= 1;
      return succeed();
    }
    if (status === 403 || status === 422 || status === 413) return refuse(batch, answer);
    app.tell({ isSending: false, isOnline: status !== LOST });
    if (status === 401) {
      failures = 1; // or what is written down about it would wake it at once
      await loseAccess(batch, sessions, tablet, answer, code);
      return AFTER_401_MS;
    }
    const pauseS = Math.max(PAUSES_S[Math.min(failures, PAUSES_S.length - 1)], Math.min(retryAfterS, RETRY_AFTER_S_MAX));
    failures += 1;
    return pauseS * 1000 * (0.8 + 0.4 * Math.random()); // tablets of one house do not all come back at once
  }

  // Nothing was stored. The sessions that are named are over; theirs wait for a PIN, and the others go again.
  async function loseAccess(batch, sessions, tablet, answer, code) {
    if (code !== "session-over") return app.lostAccess(code, null, tablet.key);
    const named = ((answer && answer.errors) || []).map((each) => each.index).filter((index) => batch[index]);
    const over = {};
    (named.length ? named : batch.map((each, index) => index)).forEach((index) => { over[sessions[index]] = batch[index].person; });
    for (const session of Object.keys(over)) await app.lostAccess(code, over[session], session);
  }

  // Those that are named are refused for good; nothing of the batch was stored, so the others go again.
  async function refuse(batch, answer) {
    const reasons = {};
    ((answer && answer.errors) || []).forEach((each) => { reasons[each.index] = each.reason; });
    const named = batch.filter((each, index) => reasons[index] !== undefined);
    if (named.length) {
      await finish(named, (each) => ({ state: "refused", reason: reasons[batch.indexOf(each)] }));
    } else if (batch.length === 1) {
      await finish(batch, () => ({ state: "refused", reason: (answer && (answer.detail || answer.title)) || "" }));
    } else {
      singly = batch.length;
    }
    return succeed();
  }

  async function finish(actions, outcome) {
    const bySeq = {};
    actions.forEach((each) => { bySeq[each.seq] = outcome(each); });
    await app.store.change(actions.map((each) => each.seq), (each) => Object.assign({}, each, bySeq[each.seq]));
  }

  function succeed() {
    failures = 0;
    app.tell({ isSending: false, isOnline: true });
    return 0;
  }

  if (navigator.locks) {
    navigator.locks.request("placelibre-staff-sender", () => forEver(async () => true));
  } else {
    holdLease();
  }

  // Where there are no locks: the role is written down with its end, and whoever finds it free takes it.
  async function holdLease() {
    const take = async () => {
      const lease = await app.store.swap("sender", (found) => (
        found && found.who !== me && found.until > Date.now() && found.until < Date.now() + 2 * LEASE_MS
          ? found
          : { who: me, until: Date.now() + LEASE_MS }
      ));
      return lease.who === me;
    };
    addEventListener("pagehide", () => {
      app.store.swap("sender", (found) => (found && found.who === me ? undefined : found));
    });
    for (;;) {
      try {
        await forEver(take);
      } catch (error) {
        // The store is out of order for a moment.
      }
      await pause(LEASE_EVERY_MS);
    }
  }

  return {
    wake(isBack) {
      if (isBack) failures = 0;
      if (wake && failures === 0) wake();
    },
  };
}
