// What comes without being asked for: the server's events, the demo's panel. At its end all of it is begun.

// ---- live ----

let stream;
let again;

function listen(isAgain = false) {
  clearTimeout(again);
  if (!list() || !window.EventSource) return;
  const live = $("live");
  const source = new EventSource("/api/v1/events");
  stream = source;
  let wasLost = isAgain;
  // What ended after the page was made and before the stream began is told by nobody.
  // Nor is what changed since a page was left that is now gone back to.
  const isOld = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
  let isUnsettled = isOld || !!list().querySelector('[data-state="updating"], [data-state="loading"]');
  const show = (on) => {
    live.hidden = false;
    live.dataset.live = on ? "on" : "off";
    live.firstElementChild.textContent = on ? "Live" : "Reconnecting…";
  };
  source.onopen = () => {
    show(true);
    if (wasLost) reloadList();
    wasLost = false;
  };
  source.onerror = () => {
    show(false);
    wasLost = true;
    // Refused altogether, such as by a server with too many streams: that is not tried again by itself.
    if (source.readyState === EventSource.CLOSED) again = setTimeout(listen, 5000, true);
  };
  const hear = (event) => {
    try {
      const { key } = JSON.parse(event.data);
      // A line about a tag, a source or everything names no entry.
      if (key) changed(key);
      else reloadList();
    } catch {
      reloadList();
    }
  };
  for (const name of LISTENING) source.addEventListener(name, hear);
  source.addEventListener("ready", () => {
    if (isUnsettled) reloadList();
    isUnsettled = false;
  });
  source.addEventListener("reset", reloadList);
  source.addEventListener("store", (event) => {
    const isBack = JSON.parse(event.data).reachable;
    $("outage").hidden = isBack;
    if (isBack) reloadList();
  });
}

// A browser opens six connections to a server and no more, and each stream keeps one: a page that nobody sees
// must not keep others from loading.
function mind() {
  clearTimeout(again);
  if (document.hidden) again = setTimeout(() => stream?.close(), 5000);
  else if (stream?.readyState === EventSource.CLOSED) listen(true);
  else if (list()) reloadList();
}

// What is being refreshed is looked at until it has settled (the feed tells of ends, not of
// beginnings, nor of answers that changed nothing); what has just expired, once.
const askedAgain = new Map();

function watch() {
  if (document.hidden || !list()) return;
  const now = serverNow();
  const busy = [...list().querySelectorAll('[data-state="updating"], [data-state="loading"]')];
  const expired = [...list().querySelectorAll('[data-state="fresh"][data-fresh-until]')].filter(
    (one) => Date.parse(one.dataset.freshUntil) <= now && askedAgain.get(one.dataset.key) !== one.dataset.freshUntil,
  );
  for (const one of expired) askedAgain.set(one.dataset.key, one.dataset.freshUntil);
  for (const one of [...busy, ...expired]) changed(one.dataset.key);
}

// ---- the demo's panel ----

async function turn(form, submitter) {
  try {
    const { isWell, answer } = await post(form, submitter);
    if (isWell) showMode(answer);
    else tell(answer.message ?? answer.detail, true);
  } catch {
    tell("The server could not be reached.", true);
  }
  showRequests();
}

function showMode({ mode, says }) {
  for (const button of $("demo").querySelectorAll("button[name=mode]")) {
    button.setAttribute("aria-pressed", String(button.value === mode));
  }
  if ($("demo-says").textContent !== says) $("demo-says").textContent = says;
}

let newest = -1;
async function showRequests() {
  if (document.hidden) return;
  const response = await fetch("/demo/requests", { headers: { Accept: "application/json" }, credentials: "same-origin" });
  if (!response.ok) return;
  const { mode, says, lines, mark } = await response.json();
  showMode({ mode, says });
  if (mark === newest) return;
  newest = mark;
  $("demo-lines").replaceChildren(...(lines.length ? lines.map(line) : [none()]));
}

function none() {
  const item = document.createElement("li");
  item.className = "none";
  item.textContent = "Nothing yet.";
  return item;
}

function line({ when, status, what, cost, is_bad }) {
  const item = document.createElement("li");
  const cell = (name, text) => {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    item.append(span);
    return span;
  };
  cell("when", when);
  cell(is_bad ? "status bad" : "status", status);
  cell("what", what).title = what;
  cell("cost", cost);
  return item;
}

// ---- start ----

if ($("keys-hint")) $("keys-hint").hidden = false;
// `swap` keeps what one reads in its place; the browser would do so a second time.
root.style.overflowAnchor = "none";
packAll();
searchAsTyped();
filters();
listen();
tick();
setInterval(tick, 1000);
setInterval(watch, 1500);
document.addEventListener("visibilitychange", mind);
if ($("demo")) {
  const [seen] = performance.getEntriesByType("navigation");
  if (seen) speed(seen.responseEnd - seen.requestStart);
  showRequests().catch(() => {});
  setInterval(() => showRequests().catch(() => {}), 1000);
}
