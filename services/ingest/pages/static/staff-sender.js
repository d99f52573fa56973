// Brings taps to the server: in order, one batch at a time, by one tab alone, again and again until they are stored.
// Every tap has an id of its own, so a batch whose answer was lost is sent again and counts once.

import { LOST, call } from "./staff-line.js";

// An hour of taps goes in one request, which is stored as a whole: nothing half an hour old is looked at for itself.
const BATCH = 200; // 50 kB
const SMALL_BATCH = 20; // on a line too poor for the large one
const FAILURES_BEFORE_SMALL = 3;
const PAUSES_S = [1, 2, 4, 8, 16, 32, 60];
const LEASE_MS = 20000; // longer than a request may take
const LEASE_EVERY_MS = 5000;
const RETRY_AFTER_S_MAX = 120;

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

  // Sends one batch; returns after how many milliseconds to look again.
  async function round() {
    if (app.isRevoked || !app.isOnline) return LEASE_EVERY_MS; // the desk's requests find out when the line is back
    const pending = (await app.store.all()).filter((each) => each.state === "pending");
    const tokens = await app.tokens();
    const ready = pending.filter((each) => tokens[each.person]);
    if (!ready.length) return LEASE_EVERY_MS;
    const person = ready[0].person;
    const most = singly > 0 ? 1 : failures >= FAILURES_BEFORE_SMALL ? SMALL_BATCH : BATCH;
    let batch = [];
    for (const each of ready) {
      if (each.person !== person || batch.length >= most) break;
      batch.push(each);
    }
    // From here on it may be stored, whatever becomes of this page: taking it back needs an undo.
    batch = await app.store.change(batch.map((each) => each.seq), (each) => (
      each.state === "pending" ? Object.assign({}, each, { sent: true }) : undefined
    ));
    if (!batch.length) return 0;
    app.tell({ isSending: true });
    const answer = await call("POST", "/v1/readings", {
      token: tokens[person],
      body: batch.map((each) => Object.assign({ id: each.id, time: each.time, library: each.library, kind: each.kind }, each.body)),
    });
    return settle(batch, person, tokens[person], answer);
  }

  async function settle(batch, person, token, { status, answer, code, retryAfterS }) {
    const ids = answer && answer.readings ? answer.readings.map((each) => each.id) : [];
    if (status === 202 && batch.every((each) => ids.indexOf(each.id) >= 0)) {
      await finish(batch, "stored", (each) => ({ remark: answer.readings[ids.indexOf(each.id)].remark || "" }));
      if (singly > 0) singly -= 1;
      return succeed();
    }
    if (status === 403 || status === 422 || status === 413) return refuse(batch, answer);
    if (status === 401) {
      failures = 0;
      await app.lostAccess(code, person, token);
      return 0;
    }
    app.tell({ isSending: false, isOnline: status === LOST ? false : app.isOnline });
    const pauseS = Math.max(PAUSES_S[Math.min(failures, PAUSES_S.length - 1)], Math.min(retryAfterS, RETRY_AFTER_S_MAX));
    failures += 1;
    return pauseS * 1000 * (0.8 + 0.4 * Math.random()); // tablets of one house do not all come back at once
  }

  // Those that are named are refused for good; nothing of the batch was stored, so the others go again.
  async function refuse(batch, answer) {
    const reasons = {};
    ((answer && answer.errors) || []).forEach((each) => { reasons[each.index] = each.reason; });
    const named = batch.filter((each, index) => reasons[index] !== undefined);
    if (named.length) {
      await finish(named, "refused", (each) => ({ reason: reasons[batch.indexOf(each)] }));
    } else if (batch.length === 1) {
      await finish(batch, "refused", () => ({ reason: (answer && (answer.detail || answer.title)) || "" }));
    } else {
      singly = batch.length;
    }
    return succeed();
  }

  async function finish(actions, state, more) {
    const bySeq = {};
    actions.forEach((each) => { bySeq[each.seq] = more(each); });
    await app.store.change(actions.map((each) => each.seq), (each) => Object.assign({}, each, { state }, bySeq[each.seq]));
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
