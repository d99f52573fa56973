// Pads with large keys, for figures and for PINs, and choices of until when.

import { count, element, fill, instantOf, timeOf, words } from "./staff-words.js";

const HOUR_MS = 3600000;

// A pad: `digits` at most, `fault` says what is wrong with a figure. The keyboard types into it as well.
export function pad({ name, digits, isPin, shortcuts, fault, onOk }) {
  let typed = "";
  const display = element("output", { class: isPin ? "display is-pin" : "display", id: "figure", "aria-label": name });
  const heard = element("span", { class: "heard", role: "status" });
  const wrong = element("p", { class: "said is-wrong", role: "alert", id: "pad-fault" });
  const ok = element("button", { type: "button", class: "main", id: "key-ok", text: words.ok, onclick: give });

  function draw() {
    display.textContent = isPin ? typed.replace(/./g, "•") : typed || "–";
    heard.textContent = isPin ? count(words.pin_digits, typed.length) : typed;
    const problem = typed && fault ? fault(Number(typed)) : "";
    wrong.textContent = problem;
    ok.disabled = isPin ? typed.length < 4 : !typed || Boolean(problem);
  }
  function press(digit) {
    if (typed.length < digits) typed = isPin ? typed + digit : String(Number(typed + digit));
    draw();
  }
  function erase() {
    typed = typed.slice(0, -1);
    draw();
  }
  async function give() {
    if (ok.disabled) return;
    ok.disabled = true; // until the answer: a second tap would be a second figure
    const said = await onOk(isPin ? typed : Number(typed));
    typed = "";
    draw();
    if (said) wrong.textContent = said;
  }
  function onKey(event) {
    if (!node.isConnected) return document.removeEventListener("keydown", onKey);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[0-9]$/.test(event.key)) press(event.key);
    else if (event.key === "Backspace") erase();
    else if (event.key === "Enter" && event.target.tagName !== "BUTTON") give();
    else return;
    event.preventDefault();
  }
  document.addEventListener("keydown", onKey);

  const digit = (each) => element("button", { type: "button", id: "key-" + each, text: each, onclick: () => press(each) });
  const keys = element("div", { class: "keys", role: "group", "aria-label": name }, [
    ..."123456789".split("").map(digit),
    element("button", { type: "button", class: "word", id: "key-erase", text: words.erase, onclick: erase }),
    digit("0"),
    ok,
  ]);
  const node = element("div", { class: "pad" }, [
    display,
    heard,
    wrong,
    shortcuts && shortcuts.length
      ? element("div", { class: "stack" }, shortcuts.map((each) => element("button", {
        type: "button",
        class: "big",
        text: each.label,
        onclick: (event) => { event.currentTarget.disabled = true; onOk(each.value); },
      })))
      : null,
    element("div", { class: "stack" }, [keys]),
  ]);
  draw();
  return node;
}

// Choices of until when, in the library's time; `chosen()` gives the instant in milliseconds, or null with the fault
// said, and `moves()` which of the reading's times goes along should that of the tap be put right.
export function untilChoices(app, { week }) {
  const now = app.nowThere();
  const closing = closingTime(app, now);
  const options = [{ id: "hour", label: words.for_an_hour, at: () => app.nowThere() + HOUR_MS }];
  if (closing) options.push({ id: "closing", label: fill(words.until_closing, { time: timeOf(closing, now) }), at: () => closing });
  options.push({ id: "tomorrow", label: words.until_tomorrow, at: () => instantOf(app.nowThere(), 1, 0, 0) });
  if (week) options.push({ id: "week", label: words.for_a_week, at: () => instantOf(app.nowThere(), 8, 0, 0) });
  options.push({ id: "time", label: words.until_a_time, at: atTime });

  const time = element("input", { type: "time", id: "until-clock", "aria-describedby": "until-fault" });
  const day = element("p", { class: "hint", role: "status" }); // a time that is over today is tomorrow's
  const timePart = element("div", { hidden: true }, [element("label", { for: "until-clock", text: words.time_label }), time, day]);
  const wrong = element("p", { class: "said is-wrong", role: "alert", id: "until-fault" });
  const radios = options.map((each, index) => element("input", {
    type: "radio", name: "until", id: "until-" + each.id, value: each.id, checked: index === 0,
  }));

  function atTime() {
    const found = /^(\d{1,2}):(\d{2})/.exec(time.value);
    if (!found) return null;
    const at = app.nowThere();
    const today = instantOf(at, 0, Number(found[1]), Number(found[2]));
    return today > at ? today : instantOf(at, 1, Number(found[1]), Number(found[2]));
  }
  const selected = () => options[radios.findIndex((each) => each.checked)];

  const node = element("fieldset", {}, [element("legend", { text: words.until_when })].concat(
    options.map((each, index) => element("label", { class: "choice", for: "until-" + each.id }, [radios[index], each.label])),
    [timePart, wrong]
  ));
  time.addEventListener("input", () => {
    const at = atTime();
    day.textContent = at === null ? "" : fill(words.until, { time: timeOf(at, app.nowThere()) });
  });
  node.addEventListener("change", () => {
    timePart.hidden = selected().id !== "time";
    wrong.textContent = "";
  });
  return {
    node,
    chosen() {
      const at = selected().at();
      wrong.textContent = at === null ? words.time_wanted : "";
      if (at === null) time.focus();
      return at;
    },
    moves: () => (selected().id === "hour" ? ["until"] : []),
    peek: () => selected().at(),
  };
}

function closingTime(app, now) {
  const spans = app.desk && app.desk.public ? app.desk.public.hours_today : [];
  const span = spans.find((each) => Date.parse(each.start) <= now && now < Date.parse(each.end));
  return span ? Date.parse(span.end) : null;
}
