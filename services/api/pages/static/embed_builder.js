// Shows at once what a choice makes of it, and copies. Without this script the form's button does the same.

"use strict";

const builder = document.getElementById("builder");
const told = document.getElementById("told");
const TYPING_MS = 400;
let newest = 0;
let typing = 0;

function address(fragment) {
  const query = new URLSearchParams(new FormData(builder.querySelector("form")));
  if (fragment) query.set("fragment", "1");
  return `/embed?${query}`;
}

function dress() {
  const script = "/embed/placelibre.js";
  if (builder.querySelector("placelibre-status") && !document.querySelector(`script[src="${script}"]`))
    document.head.append(Object.assign(document.createElement("script"), { src: script }));
  for (const button of builder.querySelectorAll(".copy")) button.hidden = false;
  builder.querySelector("#apply").hidden = true;
}

async function refresh() {
  const form = builder.querySelector("form");
  if (!form.reportValidity()) return;
  const mine = (newest += 1);
  const here = address(false);
  try {
    const response = await fetch(address(true), { headers: { Accept: "text/html" } });
    if (mine !== newest) return;
    if (!response.ok) return location.assign(here); // says what is wrong
    const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
    if (mine !== newest) return;
    const focused = document.activeElement;
    const { name, value, id } = focused;
    builder.replaceChildren(...parsed.body.childNodes);
    dress();
    const again = id ? document.getElementById(id) : builder.querySelector(`[name="${name}"][value="${CSS.escape(value ?? "")}"]`);
    again?.focus();
    history.replaceState(null, "", here);
  } catch {
    form.submit();
  }
}

async function copy(button) {
  const lines = document.getElementById(button.dataset.for);
  let isCopied = false;
  try {
    await navigator.clipboard.writeText(lines.value);
    isCopied = true;
  } catch {
    // Not everywhere, and nowhere without TLS: the old way, else by hand.
    lines.focus();
    lines.select();
    isCopied = document.execCommand("copy");
    if (isCopied) button.focus();
  }
  for (const each of builder.querySelectorAll(".copy")) each.classList.toggle("done", isCopied && each === button);
  told.textContent = "";
  told.classList.toggle("heard", isCopied); // what is to be done by hand has to be seen
  requestAnimationFrame(() => {
    told.textContent = isCopied ? told.dataset.copied : told.dataset.byHand;
  });
}

if (builder) {
  dress();
  builder.addEventListener("change", (event) => event.target.form && refresh());
  builder.addEventListener("input", (event) => {
    if (!event.target.matches('input:not([type="radio"], [type="checkbox"])')) return;
    clearTimeout(typing);
    typing = setTimeout(refresh, TYPING_MS);
  });
  builder.addEventListener("click", (event) => event.target.matches(".copy") && copy(event.target));
}
