// Says things in the tablet's language, and times in the library's time zone.

export const words = JSON.parse(document.getElementById("words").textContent);
export const language = document.documentElement.lang;
const plurals = new Intl.PluralRules(language);
const locale = language === "en" ? "en-GB" : language; // 24 hours, as on the public pages
let zone = "UTC";

export function setZone(name) {
  zone = name;
}

export function fill(template, blanks) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => (name in blanks ? String(blanks[name]) : whole));
}

export function count(forms, number) {
  return fill(forms[plurals.select(number)] || forms.other, { count: number });
}

export function timeOf(moment, now) {
  const at = new Date(moment);
  const sameDay = dayOf(at) === dayOf(new Date(now));
  const how = { hour: "2-digit", minute: "2-digit", timeZone: zone };
  if (!sameDay) Object.assign(how, { weekday: "short", day: "numeric", month: "short" });
  return new Intl.DateTimeFormat(locale, how).format(at);
}

function dayOf(at) {
  return partsOf(at.getTime()).slice(0, 3).join("-");
}

// Year, month, day, hour and minute in the library's time zone.
function partsOf(ms) {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric",
  });
  const found = {};
  format.formatToParts(new Date(ms)).forEach((each) => { found[each.type] = Number(each.value); });
  return [found.year, found.month, found.day, found.hour % 24, found.minute];
}

// The instant of a local time, so many days after the day of `now`.
export function instantOf(now, days, hour, minute) {
  const [year, month, day] = partsOf(now);
  const wanted = Date.UTC(year, month - 1, day + days, hour, minute);
  let guess = wanted;
  for (let round = 0; round < 2; round++) { // twice, for a change of the clock in between
    const [y, m, d, h, min] = partsOf(guess);
    guess += wanted - Date.UTC(y, m - 1, d, h, min);
  }
  return guess;
}

export function languageName(tag) {
  try {
    return new Intl.DisplayNames([language], { type: "language" }).of(tag);
  } catch (error) {
    return tag;
  }
}

// Elements. Whatever comes from elsewhere is set as text, never as markup.

export function element(name, attributes, parts) {
  const made = document.createElement(name);
  Object.keys(attributes || {}).forEach((each) => {
    const value = attributes[each];
    if (each === "text") made.textContent = value;
    else if (each.slice(0, 2) === "on") made.addEventListener(each.slice(2), value);
    else if (value === true) made.setAttribute(each, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(each, value);
  });
  (parts || []).forEach((each) => {
    if (each) made.appendChild(typeof each === "string" ? document.createTextNode(each) : each);
  });
  return made;
}

// A drawing of lines in a square of 24, said by the words beside it.
export function drawing(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.appendChild(line);
  return svg;
}
