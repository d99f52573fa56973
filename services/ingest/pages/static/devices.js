// The counters of one library, for its staff: for whoever is signed in on the tablet, else with a key that is typed in.
// Whatever comes from devices is set as text, never as markup.

import { openStore } from "./staff-store.js";

(function () {
  "use strict";

  var REFRESH_MS = 15000;
  var ANSWER_LIMIT_MS = 15000;
  var KEPT = "placelibre-staff-key";
  var PRESENT = "placelibre-staff-present";
  var IDLE_MS = 10 * 60 * 1000; // as on the tablet's other pages

  var words = JSON.parse(document.getElementById("words").textContent);
  var language = document.documentElement.lang;
  var byId = function (id) { return document.getElementById(id); };
  var said = byId("said");
  var key = "";
  var isTablet = false;
  var shown = "";
  var latest = null;
  var busy = false;
  var editing = null; // the box that somebody is just claiming or releasing; nothing is drawn anew meanwhile

  function recall() {
    try { return localStorage.getItem(KEPT) || ""; } catch (error) { return ""; }
  }

  function keep(value) {
    key = value;
    if (isTablet) return;
    try {
      if (value) localStorage.setItem(KEPT, value);
      else localStorage.removeItem(KEPT);
    } catch (error) {
      // A browser that keeps nothing asks again next time.
    }
  }

  function element(name, attributes, parts) {
    var made = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (each) {
      var value = attributes[each];
      if (each === "text") made.textContent = value;
      else if (each.slice(0, 2) === "on") made.addEventListener(each.slice(2), value);
      else if (value === true) made.setAttribute(each, "");
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(each, value);
    });
    (parts || []).forEach(function (each) { if (each) made.appendChild(each); });
    return made;
  }

  function text(template, name, value) {
    return template.split("{" + name + "}").join(value);
  }

  function say(words_, isWrong) {
    said.textContent = words_;
    said.className = isWrong ? "said is-wrong" : "said";
  }

  function call(method, path, body) {
    return new Promise(function (resolve, reject) {
      var request = new XMLHttpRequest();
      request.open(method, path);
      request.timeout = ANSWER_LIMIT_MS;
      request.setRequestHeader("Authorization", "Bearer " + key);
      if (body) request.setRequestHeader("Content-Type", "application/json");
      request.onload = function () {
        var answer = null;
        try { answer = JSON.parse(request.responseText); } catch (error) { answer = null; }
        if (request.status >= 200 && request.status < 300) resolve(answer);
        else reject({ status: request.status, detail: answer && answer.detail });
      };
      request.onerror = request.ontimeout = function () { reject({ status: 0, detail: null }); };
      request.send(body ? JSON.stringify(body) : null);
    });
  }

  function load() {
    if (!key) return askForKey("");
    if (busy) return;
    busy = true;
    call("GET", "/v1/devices?lang=" + encodeURIComponent(language)).then(function (answer) {
      busy = false;
      if (said.classList.contains("is-wrong")) say("", false);
      byId("key-form").hidden = true;
      byId("all").hidden = false;
      byId("as-of").textContent = answer.as_of_words;
      byId("library").textContent = answer.library.name;
      latest = answer;
      draw();
    }, function (error) {
      busy = false;
      if (error.status === 401 || error.status === 403) {
        keep("");
        askForKey(words.key_wrong);
      } else {
        say(words.failed, true);
      }
    });
  }

  function askForKey(why) {
    byId("all").hidden = true;
    byId("library").textContent = "";
    if (isTablet) {
      byId("sign-in").hidden = false;
      return;
    }
    byId("key-form").hidden = false;
    shown = "";
    say(why, Boolean(why));
    byId("key").focus();
  }

  function draw() {
    if (editing || !latest) return;
    var wanted = JSON.stringify([latest.devices, latest.unclaimed, latest.failing, latest.unused, latest.places]);
    if (wanted === shown) return;
    shown = wanted;
    var focused = document.activeElement && document.activeElement.id;
    fill("devices", latest.devices.map(deviceCard));
    fill("unclaimed", latest.unclaimed.map(boxCard));
    fill("failing", latest.failing.map(failingCard));
    fill("unused", latest.unused.map(function (each) { return element("li", { text: each.words }); }));
    byId("no-devices").hidden = latest.devices.length > 0;
    byId("no-unclaimed").hidden = latest.unclaimed.length > 0;
    byId("unclaimed-intro").hidden = latest.unclaimed.length === 0;
    byId("failing-section").hidden = latest.failing.length === 0;
    byId("unused-section").hidden = latest.unused.length === 0;
    if (focused && byId(focused)) byId(focused).focus();
  }

  function fill(id, cards) {
    var list = byId(id);
    while (list.firstChild) list.removeChild(list.firstChild);
    cards.forEach(function (each) { list.appendChild(each); });
  }

  // Devices that count

  function deviceCard(device) {
    var facts = device.where.concat(device.facts);
    var card = element("li", { class: "card is-" + device.standing }, [
      element("h3", { text: device.name }),
      element("p", { class: "standing" }, [
        element("span", { class: "mark", "aria-hidden": "true", text: { well: "✓", look: "!", wrong: "✕" }[device.standing] }),
        element("span", { text: words[device.standing] }),
      ]),
      element("ul", { class: "facts" }, facts.map(function (each) { return element("li", { text: each }); })),
      device.findings.length
        ? element("ul", { class: "findings" }, device.findings.map(function (each) {
            return element("li", { class: each.is_urgent ? "is-urgent" : null, text: each.text });
          }))
        : element("p", { class: "fine", text: words.all_is_well }),
    ]);
    if (device.is_claimed) card.appendChild(releasePart(device));
    return card;
  }

  function releasePart(device) {
    var part = element("div", { class: "part" });
    function offer(isFocused) {
      editing = null;
      replace(part, [element("button", { type: "button", class: "quiet", text: words.release, onclick: ask })]);
      if (isFocused) part.querySelector("button").focus();
    }
    function ask() {
      editing = device.id;
      replace(part, [
        element("p", { text: text(words.release_of, "device", device.name) }),
        element("div", { class: "buttons" }, [
          element("button", { type: "button", class: "danger", text: words.release, onclick: go }),
          element("button", { type: "button", text: words.back, onclick: function () { offer(true); draw(); } }),
        ]),
      ]);
      part.querySelector("button").focus();
    }
    function go() {
      work(part, call("DELETE", "/v1/claims/" + encodeURIComponent(device.id)), function () {
        say(text(words.released, "device", device.name), false);
      });
    }
    offer(false);
    return part;
  }

  // Boxes that nobody has claimed

  function boxCard(box, index) {
    var part = element("div", { class: "part" });
    var card = element("li", { class: "card is-new" }, [
      element("h3", { text: box.title }),
      element("ul", { class: "facts" }, box.facts.map(function (each) { return element("li", { text: each }); })),
      box.lines.length ? figures(box) : element("p", { class: "findings", text: words.unreadable }),
      box.problems.length ? element("ul", { class: "hint", lang: "en" }, box.problems.map(function (each) {
        return element("li", { text: each });
      })) : null,
      part,
    ]);
    if (box.lines.length) offerPlaces(box, part, index, false);
    return card;
  }

  function figures(box) {
    var passes = box.lines.some(function (each) { return each.kind === "gate"; });
    var head = [words.line].concat(passes ? [words.people_in, words.people_out] : [""], [words.meaning]);
    var rows = box.lines.map(function (each) {
      var numbers = passes ? [amount(each.in), amount(each.out)] : [amount(each.value)];
      if (passes && each.kind !== "gate") numbers = [amount(each.value), ""];
      return element("tr", {}, [element("th", { scope: "row", text: each.name })].concat(
        numbers.map(function (number) { return element("td", { class: "number", text: number }); }),
        [element("td", { text: each.meaning_words })]
      ));
    });
    return element("table", {}, [
      element("caption", { text: words.would_count }),
      element("thead", {}, [element("tr", {}, head.map(function (each) { return element("th", { scope: "col", text: each }); }))]),
      element("tbody", {}, rows),
    ]);
  }

  function amount(value) {
    return value === null || value === undefined ? "–" : String(value);
  }

  function placesFor(kind) {
    if (kind === "gate") return latest.places.gates;
    if (kind === "zone") return latest.places.zones;
    return latest.places.queues;
  }

  function mainKind(box) {
    var kinds = box.lines.map(function (each) { return each.kind; });
    if (kinds.indexOf("gate") >= 0) return "gate";
    return kinds.indexOf("zone") >= 0 ? "zone" : "queue";
  }

  function offerPlaces(box, part, index, isFocused) {
    editing = null;
    var question = "where-" + index;
    var kind = mainKind(box);
    replace(part, [
      element("p", { class: "question", id: question, text: words.where }),
      element("div", { class: "buttons", role: "group", "aria-labelledby": question }, placesFor(kind).map(function (place, number) {
        return element("button", {
          type: "button",
          id: "place-" + index + "-" + number,
          text: place.words,
          onclick: function () { confirmPlace(box, part, index, kind, place); },
        });
      })),
    ]);
    if (isFocused) part.querySelector("button").focus();
  }

  function confirmPlace(box, part, index, kind, place) {
    editing = box.token;
    var isSingle = box.lines.length === 1;
    var rows = box.lines.map(function (line, number) {
      return lineChoice(line, "line-" + index + "-" + number, isSingle, line.kind === kind ? place.id : line.suggested);
    });
    var nameId = "name-" + index;
    var form = element("form", { class: "confirm", onsubmit: function (event) {
      event.preventDefault();
      var lines = rows.map(function (each) { return each.line(); }).filter(Boolean);
      if (!lines.length) return;
      var name = byId(nameId).value.trim();
      var body = { source: box.source, serial: box.serial, name: name, lines: lines };
      work(part, call("POST", "/v1/claims", body), function (answer) {
        say(text(words.claimed, "device", answer.name || answer.device), false);
      });
    } }, [element("p", { class: "question", text: text(words.confirm_of, "where", place.words) })].concat(
      rows.map(function (each) { return each.part; }),
      [
        element("label", { for: nameId, text: words.name }),
        element("input", { id: nameId, maxlength: "120", value: box.name, "aria-describedby": nameId + "-hint" }),
        element("p", { class: "hint", id: nameId + "-hint", text: words.name_hint }),
        element("div", { class: "buttons" }, [
          element("button", { type: "submit", class: "main", text: words.confirm }),
          element("button", { type: "button", text: words.back, onclick: function () {
            offerPlaces(box, part, index, true);
            draw();
          } }),
        ]),
      ]
    ));
    replace(part, [form]);
    form.querySelector("button[type=submit]").focus();
  }

  function lineChoice(line, id, isSingle, chosen) {
    var select = element("select", { id: id + "-place" }, placesFor(line.kind).map(function (place) {
      return element("option", { value: place.id, selected: place.id === chosen, text: place.words });
    }).concat([element("option", { value: "", selected: !chosen, text: words.not_counted })]));
    var swap = element("input", { type: "checkbox", id: id + "-swap" });
    var people = element("p", { class: "people", "aria-live": "polite" });
    function tell() {
      var ways = [amount(line.in), amount(line.out)];
      if (swap.checked) ways.reverse();
      people.textContent = words.people_in + " " + ways[0] + " · " + words.people_out + " " + ways[1];
    }
    swap.addEventListener("change", tell);
    tell();
    var isPassage = line.kind === "gate";
    return {
      part: element("fieldset", {}, [
        isSingle ? null : element("legend", { text: words.line + " " + line.name }),
        isSingle ? null : element("label", { for: id + "-place", text: words.where }),
        isSingle ? null : select,
        isPassage ? people : null,
        isPassage ? element("label", { class: "check", for: id + "-swap" }, [swap, element("span", { text: words.swap })]) : null,
      ]),
      line: function () {
        var place = isSingle ? chosen : select.value;
        if (!place) return null;
        var made = { line: line.line, invert: isPassage && swap.checked };
        if (isPassage) {
          made.gate = place;
          made.direction = line.direction;
        } else if (line.kind === "zone") made.zone = place;
        else made.queue = true;
        return made;
      },
    };
  }

  function failingCard(source) {
    return element("li", { class: "card is-wrong" }, [
      element("h3", { text: source.name }),
      element("ul", { class: "facts" }, [element("li", { text: source.since_words })]),
      element("p", { class: "findings", lang: "en", text: source.reason }),
    ]);
  }

  // What all have in common

  function replace(part, children) {
    while (part.firstChild) part.removeChild(part.firstChild);
    children.forEach(function (each) { part.appendChild(each); });
  }

  function work(part, promise, done) {
    var buttons = part.querySelectorAll("button");
    function able(is) { Array.prototype.forEach.call(buttons, function (each) { each.disabled = !is; }); }
    able(false);
    promise.then(function (answer) {
      editing = null;
      shown = "";
      done(answer);
      said.setAttribute("tabindex", "-1");
      said.focus(); // what had the focus is gone
      setTimeout(load, 700); // a claim takes effect in a moment
    }, function (error) {
      able(true);
      if (error.status === 401) {
        editing = null;
        keep("");
        askForKey(words.key_wrong);
      } else {
        say(error.detail || words.failed, true);
      }
    });
  }

  byId("key-form").addEventListener("submit", function (event) {
    event.preventDefault();
    keep(byId("key").value.trim());
    byId("key").value = "";
    load();
  });
  // On an enrolled tablet the key is the session of whoever has entered their PIN a moment ago.
  function present() {
    try {
      var found = JSON.parse(sessionStorage.getItem(PRESENT));
      return found && Math.abs(Date.now() - found.active) < IDLE_MS ? found : null;
    } catch (error) {
      return null;
    }
  }

  function stayAwake() {
    var found = present();
    if (!isTablet || !found) return;
    found.active = Date.now();
    sessionStorage.setItem(PRESENT, JSON.stringify(found));
  }

  function begin() {
    return openStore().then(function (store) {
      return Promise.all([store.get("tablet"), store.get("people")]);
    }).then(function (found) {
      var who = present();
      isTablet = Boolean(found[0]);
      if (!isTablet) key = recall();
      else if (who && found[1] && found[1][who.person.id]) key = found[1][who.person.id].session || "";
      byId("forget").hidden = isTablet;
      load();
    });
  }

  byId("forget").addEventListener("click", function () {
    keep("");
    askForKey("");
  });
  document.addEventListener("pointerdown", stayAwake);
  document.addEventListener("keydown", stayAwake);
  setInterval(function () {
    if (isTablet && key && !present()) {
      key = "";
      askForKey("");
    }
    if (key && !document.hidden && !editing) load();
  }, REFRESH_MS);
  begin();
})();
