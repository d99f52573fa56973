// <placelibre-status library="…">: a library's live status as an element of any page.
//
// All elements of a page ask together, every few seconds while somebody looks. What they show is built from words and
// numbers, never from markup, so it stands under any Content-Security-Policy and Trusted Types; the style is a
// constructed sheet. What stands between the tags is shown until there is a status, and where there never is one.
// Nothing is stored, and no cookie is sent.

(() => {
  "use strict";

  const NAME = "placelibre-status";
  if (customElements.get(NAME)) return; // two copies of the snippet on one page

  const CSS = "EMBED_CSS";
  const EVERY_MS = 15_000; // what a cache on the way may keep
  const SOONEST_MS = 2_000;
  const SLOWEST_MS = 120_000;
  const NEWCOMER_MS = 300; // for an element that came while others were asked for
  const LIMIT_MS = 8_000;
  const AT_ONCE = 20; // what the server takes in one request
  const SVG = "http://www.w3.org/2000/svg";
  const TAKEN = { many: 1, few: 3, full: 4 };
  const own = document.currentScript ?? document.querySelector('script[src*="/embed/placelibre"]');
  const ORIGIN = new URL(own.src, document.baseURI).origin;

  const elements = new Map(); // those on the page, by what they ask for
  const answers = new Map(); // what was answered last, by the same
  let ahead = 0; // of the reader's clock, in milliseconds: from the server's Date
  let failures = 0;
  let pause = 0; // asked for by the server
  let asking = null;
  let timer = 0;
  let ticking = 0;

  const present = () => Date.now() + ahead;

  // Building

  function make(tag, options = {}, ...children) {
    const made = document.createElement(tag);
    const { text, hidden, ...rest } = options;
    if (text) made.textContent = text;
    if (hidden) made.hidden = true;
    for (const [name, value] of Object.entries(rest)) made.setAttribute(name, value);
    made.append(...children.filter(Boolean));
    return made;
  }

  function draw(tag, attributes, ...children) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function mark(kind) {
    const svg = draw("svg", { class: "mark", viewBox: "0 0 92 30", "aria-hidden": "true" });
    if (kind === "closed") svg.append(draw("path", { class: "bar", d: "M3 15h86" }));
    else
      for (let place = 0; place < 4; place += 1) {
        const look = kind in TAKEN ? (place < TAKEN[kind] ? "taken" : "free") : "doubt";
        svg.append(
          draw(
            "g",
            { class: look, transform: `translate(${place * 24} 0)` },
            draw("rect", { x: 2, y: 2, width: 16, height: 16, rx: 4 }),
            draw("rect", { x: 2, y: 21, width: 16, height: 6, rx: 2.5 }),
          ),
        );
      }
    return svg;
  }

  function meter(seats) {
    return draw(
      "svg",
      { class: "meter", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": seats.taken },
      draw("rect", { class: "meter-all", width: 100, height: 10 }),
      draw("rect", { class: "meter-taken", width: seats.percent, height: 10 }),
      draw("rect", { class: "meter-range", x: seats.low, width: Math.max(seats.high - seats.low, 0), height: 10 }),
    );
  }

  function fact(kind, label, range, ...value) {
    return make(
      "p",
      { class: `fact ${kind}` },
      make("span", { class: "label", text: label }),
      " ",
      make("span", { class: "value" }, ...value),
      range && " ",
      range && make("span", { class: "range", text: range }),
    );
  }

  function sheet(it, size) {
    const note = it.name ? ` (${it.link_note})` : `${it.title} (${it.link_note})`;
    const link = make("a", { href: ORIGIN + it.page, target: "_blank", rel: "noopener" }, it.name);
    link.append(make("span", { class: "heard", text: note }));
    const zones = it.zones.map((zone) =>
      make(
        "li",
        { class: `kind-${zone.kind}` },
        make("span", { class: "zone-name", text: zone.name }),
        " ",
        make("span", { class: "zone-words", text: zone.words }),
        zone.seats && " ",
        zone.seats && make("span", { class: "of", text: zone.seats }),
      ),
    );
    const wait = it.wait && fact("wait", it.wait.label, it.wait.between, it.wait.value);
    return make(
      "article",
      { class: `pl kind-${it.kind}`, lang: it.language, "data-size": size, "aria-label": it.title },
      make("p", { class: it.name ? "name" : "name unseen" }, link),
      it.banner && make("p", { class: "banner", text: it.banner }),
      make(
        "div",
        { class: "now", "data-when": "fresh" },
        make("p", { class: "headline" }, mark(it.kind), make("strong", { text: it.headline })),
        it.explanation && make("p", { class: "explanation", text: it.explanation }),
        it.is_wait_first && wait,
        it.seats &&
          fact(
            "seats",
            it.seats_label,
            it.seats.between,
            make("b", { text: it.seats.free }),
            " ",
            make("span", { class: "of", text: it.seats.of }),
          ),
        it.seats && it.has_meter && meter(it.seats),
        it.seats && it.seats_for && make("p", { class: "explanation", text: it.seats_for }),
        !it.is_wait_first && wait,
        zones.length > 0 && make("ul", { class: "zones", "aria-label": it.zones_label }, ...zones),
        it.hours && fact("hours", it.hours.label, "", it.hours.value),
      ),
      make(
        "div",
        { class: "now kind-expired", "data-when": "old", hidden: true },
        make("p", { class: "headline" }, mark("expired"), make("strong", { text: it.unknown })),
        make("p", { class: "explanation", text: it.stale }),
      ),
      make("p", { class: "as-of" }, make("time", { datetime: it.as_of_iso, text: it.as_of }), make("span", { class: "age" })),
      it.notice && make("p", { class: "notice" }, make("span", { class: "label", text: it.notice_label }), ` ${it.notice}`),
    );
  }

  function age(it) {
    const minutes = Math.floor(((present() - Date.parse(it.since)) * it.speed) / 60_000);
    if (!it.speed || minutes < 1) return "";
    const words = new Intl.RelativeTimeFormat(it.language, { numeric: "always" });
    if (minutes < 60) return words.format(-minutes, "minute");
    if (minutes < 48 * 60) return words.format(-Math.floor(minutes / 60), "hour");
    return words.format(-Math.floor(minutes / 1440), "day");
  }

  // Asking

  async function ask() {
    clearTimeout(timer);
    if (asking || document.hidden || elements.size === 0) return;
    asking = new AbortController();
    const ending = setTimeout(() => asking.abort(), LIMIT_MS);
    const keys = [...elements.keys()].sort();
    try {
      pause = 0;
      for (let at = 0; at < keys.length; at += AT_ONCE) await askFor(keys.slice(at, at + AT_ONCE), asking.signal);
      failures = 0;
    } catch {
      failures += 1; // away: what is shown ages, and goes when it no longer holds
    } finally {
      clearTimeout(ending);
      asking = null;
    }
    tick();
    wait();
  }

  async function askFor(keys, signal) {
    const query = new URLSearchParams(keys.map((key) => ["of", key]));
    const options = { mode: "cors", credentials: "omit", referrerPolicy: "no-referrer", cache: "no-cache", signal };
    const response = await fetch(`${ORIGIN}/embed/elements.json?${query}`, options);
    if (!response.ok) {
      pause = Number(response.headers.get("retry-after") ?? 0) * 1000;
      throw new Error(String(response.status));
    }
    const date = Date.parse(response.headers.get("date"));
    if (date) ahead = date + Number(response.headers.get("age") ?? 0) * 1000 - Date.now();
    const { items } = await response.json();
    for (const item of items) {
      const seen = JSON.stringify(item);
      if (!elements.has(item.of) || answers.get(item.of)?.seen === seen) continue;
      answers.set(item.of, { ...item, seen });
      for (const element of elements.get(item.of) ?? []) element.show(answers.get(item.of));
    }
  }

  function wait() {
    clearTimeout(timer);
    if (elements.size === 0) return;
    if (!failures && [...elements.keys()].some((key) => !answers.has(key))) {
      timer = setTimeout(ask, NEWCOMER_MS);
      return;
    }
    const ends = [...elements.keys()].map((key) => Date.parse(answers.get(key)?.view?.until) - present());
    const left = Math.min(EVERY_MS, ...ends.filter((each) => each > 0));
    const usual = failures ? Math.min(EVERY_MS * 2 ** (failures - 1), SLOWEST_MS) : Math.max(left, SOONEST_MS);
    timer = setTimeout(ask, Math.max(usual, pause) * (1 + Math.random() / 5)); // not all readers in the same instant
  }

  function tick() {
    for (const group of elements.values()) for (const element of group) element.tick();
  }

  function join(element, key) {
    if (elements.size === 0) {
      document.addEventListener("visibilitychange", look);
      addEventListener("pageshow", look);
      ticking = setInterval(tick, 1000);
    }
    if (!elements.has(key)) elements.set(key, new Set());
    elements.get(key).add(element);
    const known = answers.get(key);
    if (known) element.show(known);
    else if (!asking && !failures) {
      clearTimeout(timer);
      timer = setTimeout(ask, 0); // together with its neighbours
    }
  }

  function leave(element, key) {
    const group = elements.get(key);
    group?.delete(element);
    if (group?.size === 0) {
      elements.delete(key);
      answers.delete(key);
    }
    if (elements.size > 0) return;
    clearTimeout(timer);
    clearInterval(ticking);
    document.removeEventListener("visibilitychange", look);
    removeEventListener("pageshow", look);
    failures = 0;
  }

  function look(event) {
    if (event.type === "pageshow" && !event.persisted) return;
    tick();
    ask();
  }

  // The element

  let constructed = null;
  try {
    constructed = new CSSStyleSheet();
    constructed.replaceSync(CSS);
  } catch {
    constructed = null; // an old browser: the same sheet by a link, which needs style-src
  }

  class PlacelibreStatus extends HTMLElement {
    static observedAttributes = ["library", "lang", "theme", "size", "parts", "ground"];

    #root = this.attachShadow({ mode: "open" });
    #frame = make("div", {}, make("slot"));
    #key = "";
    #answer = null;
    #said = "";

    constructor() {
      super();
      if (constructed && "adoptedStyleSheets" in this.#root) this.#root.adoptedStyleSheets = [constructed];
      else this.#root.append(make("link", { rel: "stylesheet", href: `${ORIGIN}/embed/placelibre.css` }));
      this.#root.append(this.#frame);
    }

    connectedCallback() {
      this.#follow();
    }

    disconnectedCallback() {
      if (this.#key) leave(this, this.#key);
      this.#key = "";
    }

    attributeChangedCallback() {
      if (this.isConnected && this.#key) this.#follow();
    }

    #choice(name, allowed) {
      const value = (this.getAttribute(name) ?? "").trim().toLowerCase();
      return allowed.includes(value) ? value : allowed[0];
    }

    #follow() {
      const library = (this.getAttribute("library") ?? "").trim();
      const language = this.closest("[lang]")?.lang ?? ""; // its own attribute, else that of the page around it
      const size = this.#choice("size", ["card", "small", "line"]);
      const parts = (this.getAttribute("parts") ?? "").replace(/\s+/g, "");
      const key = library ? [library, language, size, parts].join(":") : "";
      const isBare = this.#choice("ground", ["sheet", "none"]) === "none";
      this.#frame.className = this.#choice("theme", ["auto", "light", "dark"]) + (isBare ? " bare" : "");
      if (key === this.#key) return;
      if (this.#key) leave(this, this.#key);
      this.#key = key;
      this.#fall();
      if (key) join(this, key);
    }

    #fall() {
      this.#answer = null;
      this.#said = "";
      this.#frame.replaceChildren(make("slot"));
    }

    show(answer) {
      if (!answer.view) {
        console.warn(`<${NAME}>: ${answer.problem}`, this);
        return this.#fall();
      }
      const isFocused = this.#root.activeElement !== null;
      this.#answer = answer;
      this.#frame.replaceChildren(sheet(answer.view, this.#choice("size", ["card", "small", "line"])));
      if (isFocused) this.#root.querySelector("a").focus();
      this.tick();
    }

    tick() {
      if (!this.#answer) return;
      const { view, status } = this.#answer;
      const isOld = !status.expired && view.until !== "" && present() > Date.parse(view.until);
      for (const part of this.#root.querySelectorAll("[data-when]")) part.hidden = (part.dataset.when === "old") !== isOld;
      const span = this.#root.querySelector(".age");
      const words = age(view);
      if (span.textContent !== words) span.textContent = words;
      const said = `${view.version}${isOld}`;
      if (said === this.#said) return;
      this.#said = said;
      const { library, name, as_of, valid_until } = status;
      const left = { library, name, as_of, valid_until, expired: true, state: "unknown", level: null, people: null };
      const detail = isOld ? { ...left, free_seats: null, queue: null, wait: null, zones: [] } : status;
      this.dispatchEvent(new CustomEvent(NAME, { detail, bubbles: true, composed: true }));
    }
  }

  customElements.define(NAME, PlacelibreStatus);
})();
