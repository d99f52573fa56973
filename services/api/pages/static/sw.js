// Shows what this installation tells those who asked. It stands in no page's way: it answers no request.
// A repeated notification has the tag of the first and takes its place in silence.

addEventListener("push", (event) => event.waitUntil(tell(event.data)));
addEventListener("notificationclick", (event) => event.waitUntil(open(event.notification)));
addEventListener("install", () => skipWaiting());

async function tell(data) {
  const word = data.json();
  const isLate = Date.parse(word.valid_until) < Date.now(); // a device that was off gets what nobody may take for now
  await registration.showNotification(isLate ? word.late_title : word.title, {
    body: isLate ? word.late_body : word.body,
    lang: word.lang,
    tag: word.tag,
    data: { url: word.url },
  });
  for (const page of await clients.matchAll({ includeUncontrolled: true })) page.postMessage({ told: word.library });
}

async function open(notification) {
  notification.close();
  const url = new URL(notification.data.url, location.origin);
  const pages = await clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((each) => new URL(each.url).pathname === url.pathname);
  return page ? page.focus() : clients.openWindow(url.href);
}
