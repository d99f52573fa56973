// The line to the server: requests that end, and the server's time.

export const ANSWER_LIMIT_MS = 15000; // poor Wi-Fi loses a request now and then; the next one is better than waiting on
export const LOST = 0; // the status of a request that got no answer, or one that is not ours (a hotel's login page)

export async function call(method, path, options) {
  const { token, body, type, limitMs, signal } = options;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), limitMs || ANSWER_LIMIT_MS);
  const took = stopwatch();
  if (signal) signal.cut = () => abort.abort();
  try {
    const asked = {};
    if (token) asked.Authorization = "Bearer " + token;
    if (body !== undefined) asked["Content-Type"] = "application/json";
    const response = await fetch(path, {
      method,
      headers: asked,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: abort.signal,
    });
    const text = await response.text();
    const found = { status: response.status, etag: response.headers.get("ETag"), answer: null, text, code: "" };
    found.tookMs = took();
    found.date = response.headers.get("Date") || "";
    found.retryAfterS = Number(response.headers.get("Retry-After")) || 0;
    if (type !== "text" && text) found.answer = JSON.parse(text);
    if (response.status >= 400) {
      const problem = found.answer || parsed(text);
      if (!problem || typeof problem.type !== "string") return lost(); // not of our server
      found.answer = problem;
      found.code = problem.type.replace(/^.*\//, "");
    }
    return found;
  } catch (error) {
    return lost();
  } finally {
    clearTimeout(timer);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    return null;
  }
}

function lost() {
  return { status: LOST, etag: null, answer: null, text: "", code: "lost", retryAfterS: 0, tookMs: 0, date: "" };
}

// How long it took: the longer by two clocks, of which one stands still while the tablet sleeps and the other can be set.
function stopwatch() {
  const began = Date.now();
  const ran = performance.now();
  return () => Math.max(Date.now() - began, performance.now() - ran, 0);
}

// The server's time by this tablet's clock, which may be wrong by days. What is learned is kept for an hour offline.

const LEAP_MS = 2000;
const SAME_LEAP_MS = 5000;
const DATE_STEP_MS = 1000; // a Date header says whole seconds

export function makeClock(kept) {
  let offset = kept || 0;
  let isKnown = kept !== undefined && kept !== null;
  let drift = Date.now() - performance.now();
  let lessons = 0;
  let leaps = []; // forward, since the last lesson: it has slept, or was set; which of them, the next lesson tells

  // A clock that is set back while nothing else happened takes the offset along; forward it may have slept.
  function look() {
    const found = Date.now() - performance.now();
    const by = found - drift;
    drift = found;
    if (by < -LEAP_MS) offset -= by;
    else if (by > LEAP_MS) leaps.push(by);
    return Math.abs(by) > LEAP_MS;
  }

  // Takes the server's time out of an answer. It was written at some moment between asking and hearing, so whatever
  // agrees with one of these moments stays: a slow answer does not move the time, and two taps do not change places.
  // Answers with what to add to the taps since the last lesson: all, or those after leap number `after`.
  function learn(server, tookMs, stepMs) {
    look();
    const least = server - Date.now();
    const most = least + tookMs + stepMs;
    const before = offset;
    offset = isKnown ? Math.min(Math.max(offset, least), most) : (least + most) / 2;
    const by = offset - before;
    const set = leaps.findIndex((each) => Math.abs(each + by) < SAME_LEAP_MS);
    const lesson = { by, number: lessons, after: Math.abs(by) > LEAP_MS ? set + 1 : 0 };
    isKnown = true;
    lessons += 1;
    leaps = [];
    return lesson;
  }

  return {
    look,
    now() { look(); return Math.round(Date.now() + offset); },
    offset: () => offset,
    mark: () => ({ lesson: lessons, leaps: leaps.length }),
    learn(iso, tookMs) {
      const server = Date.parse(iso);
      return isNaN(server) ? null : learn(server, tookMs, 0);
    },
    learnOfDate(header, tookMs) {
      const first = /\w{3}, \d{2} \w{3} \d{4} [\d:]{8} GMT/.exec(header); // a proxy may have added its own
      return first ? learn(Date.parse(first[0]), tookMs, DATE_STEP_MS) : null;
    },
    offMinutes: () => (isKnown ? Math.round(Math.abs(offset) / 60000) : 0),
  };
}
