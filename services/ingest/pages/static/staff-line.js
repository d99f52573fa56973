// The line to the server: requests that end, and the server's time.

export const ANSWER_LIMIT_MS = 15000; // poor Wi-Fi loses a request now and then; the next one is better than waiting on
export const LOST = 0; // the status of a request that got no answer, or one that is not ours (a hotel's login page)

export async function call(method, path, options) {
  const { token, body, type, limitMs, signal } = options;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), limitMs || ANSWER_LIMIT_MS);
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
  return { status: LOST, etag: null, answer: null, text: "", code: "lost", retryAfterS: 0 };
}

// The server's time by this tablet's clock, which may be wrong by days. What is learned is kept for an hour offline.

export function makeClock(kept) {
  let offset = kept || 0;
  let isKnown = kept !== undefined && kept !== null;
  let drift = Date.now() - performance.now();

  // A clock that is set back while nothing else happened takes the offset along; forward it may have slept.
  function look() {
    const now = Date.now() - performance.now();
    if (now < drift - 2000) offset += drift - now;
    const hasJumped = Math.abs(now - drift) > 2000;
    drift = now;
    return hasJumped;
  }

  return {
    look,
    now() { look(); return Date.now() + offset; },
    at() { return new Date(this.now()).toISOString(); },
    learn(iso) {
      const server = Date.parse(iso);
      if (isNaN(server)) return offset;
      look();
      offset = server - Date.now();
      isKnown = true;
      return offset;
    },
    offMinutes: () => (isKnown ? Math.round(Math.abs(offset) / 60000) : 0),
  };
}
