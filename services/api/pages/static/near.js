// Sorts the list by how far the libraries are, for who presses the button. The position is rounded before it leaves the
// browser: a hundredth of a degree is about a kilometre.

const ANSWER_LIMIT_MS = 15_000;
const KNOWN_FOR_MS = 600_000;
const box = document.getElementById("near");
const said = document.getElementById("near-said");

function show({ coords }) {
  const address = new URL(location.href);
  address.searchParams.set("near", `${coords.latitude.toFixed(2)},${coords.longitude.toFixed(2)}`);
  address.searchParams.set("order", "distance");
  address.searchParams.delete("after");
  location.assign(address);
}

function explain(error) {
  said.textContent = error.code === error.PERMISSION_DENIED ? box.dataset.refused : box.dataset.failed;
}

if ("geolocation" in navigator && isSecureContext) {
  box.hidden = false;
  document.getElementById("near-ask").addEventListener("click", () =>
    navigator.geolocation.getCurrentPosition(show, explain, { timeout: ANSWER_LIMIT_MS, maximumAge: KNOWN_FOR_MS }),
  );
}
