// The part of a page that changes: asked of the server anew, put in place of the old one, counted.

// ---- swapping what the server has rendered ----

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function keyOf(element) {
  return element.closest("[data-key]")?.dataset.key;
}

// The token of the newest part is that of all forms: a part may come of another run of the server's.
function renew(csrf) {
  if (csrf) for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = csrf;
}

// The focus, what was unfolded and what one reads outlive a swap: what stands first in sight stays where it is.
function swap(old, fresh, isReading = true) {
  const reading = isReading && scrollY > 0 ? firstSeen(places()) : undefined;
  const seen = reading && { key: reading.dataset.key, top: reading.getBoundingClientRect().top };
  const active = old.contains(document.activeElement) ? document.activeElement : null;
  const place = active && {
    key: keyOf(active),
    label: active.getAttribute("aria-label"),
    id: active.id,
    href: active.getAttribute("href"),
  };
  if (place) place.index = alike(holding(old, place.key) ?? old, place).indexOf(active);
  const open = new Set([...old.querySelectorAll("details[open]")].map(nameOf));
  old.replaceWith(fresh);
  renew(fresh.querySelector('input[name="csrf"]')?.value);
  for (const details of fresh.querySelectorAll("details")) if (open.has(nameOf(details))) details.open = true;
  if (place) restore(fresh, place);
  packAll();
  const still = seen && places().find((one) => one.dataset.key === seen.key);
  if (still) scrollBy({ top: still.getBoundingClientRect().top - seen.top, behavior: "instant" });
  count();
  tick();
}

function nameOf(details) {
  return `${keyOf(details)} ${details.className}`;
}

function holding(part, key) {
  return [part, ...part.querySelectorAll("[data-key]")].find((one) => one.dataset?.key === key);
}

// Those that are called so, or lead there: there may be several.
function alike(inside, { label, href }) {
  return [...inside.querySelectorAll("button, a, summary")].filter(
    (one) => (label && one.getAttribute("aria-label") === label) || (href && one.getAttribute("href") === href),
  );
}

function restore(fresh, place) {
  const holder = holding(fresh, place.key);
  const same = alike(holder ?? fresh, place);
  (same[place.index] ?? same[0] ?? holder)?.focus({ preventScroll: true });
}

async function ask(address) {
  const began = performance.now();
  const response = await fetch(address, { headers: { Accept: "text/html" }, credentials: "same-origin", cache: "no-store" });
  mindClock(response.headers.get("date"));
  const text = await response.text();
  speed(performance.now() - began);
  return { status: response.status, text };
}

function speed(ms) {
  const line = $("demo-speed");
  if (!line) return;
  line.hidden = false;
  line.textContent = `Larder's last answer to this page took ${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms.`;
}

// One request at a time; what comes up meanwhile is asked for once more at its end. `look` sees
// what is held without causing a refresh, so that an open page never keeps GitHub busy.
function oneAtATime(work) {
  let running = false;
  let again = false;
  return async function run() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      await work();
    } catch {
      // The connection is gone; the event source says so, and its return brings everything anew.
    } finally {
      running = false;
      if (again) {
        again = false;
        run();
      }
    }
  };
}

function lookAddress(part) {
  const address = new URL(location.href);
  address.searchParams.set("part", part);
  return address;
}

// Whether the list was asked for by a search or a filter, whose sender waits for it.
let isSought = false;

function seek() {
  isSought = true;
  reloadList();
}

const reloadList = oneAtATime(async () => {
  const { search } = location;
  const { status, text } = await ask(lookAddress("list")).catch((gone) => {
    if (isSought) tell("The server could not be reached. The list is not yet as asked for.", true);
    throw gone;
  });
  // Another search has begun meanwhile, and is asked for next.
  if (location.search !== search) return;
  const fresh = status === 200 && parsed(text).querySelector("#list");
  if (isSought && !fresh) tell("The server could not answer. The list is not yet as asked for.", true);
  if (!fresh || !list()) return;
  const isReading = !isSought;
  isSought = false;
  // What is around a list is not there where there is none.
  if (list().matches("[data-nowhere]") && !fresh.matches("[data-nowhere]")) location.reload();
  else swap(list(), fresh, isReading);
  if (!isReading) announce();
});

// What a search found is told to those who listen; what changes by itself would only interrupt them.
function announce() {
  const words = $("count") ?? list().querySelector(".card .name");
  if ($("found") && words) $("found").textContent = words.textContent.trim();
}

const wanted = new Set();
const reloadCards = oneAtATime(async () => {
  const keys = [...wanted];
  wanted.clear();
  if (!isClusters || keys.length > 8 || keys.some((key) => !card(key))) return reloadList();
  const { search } = location;
  for (const key of keys) {
    const address = lookAddress("card");
    address.searchParams.set("key", key);
    const { status, text } = await ask(address);
    // Another search has begun meanwhile: its list brings all.
    if (location.search !== search) return;
    const fresh = status === 200 && parsed(text).querySelector("article");
    if (fresh && card(key)) swap(card(key), fresh);
    else return reloadList();
  }
});

function card(key) {
  return list()?.querySelector(`article[data-key="${CSS.escape(key)}"]`);
}

let soon;
function changed(key) {
  if (!list()) return;
  wanted.add(key);
  clearTimeout(soon);
  soon = setTimeout(isClusters ? reloadCards : reloadList, 40);
}

const STATES = { updating: "updating", stale: "stale", error: "failing", dead: "dead" };

function count() {
  const words = [list()?.dataset.count];
  if (!words[0] || !$("count")) return;
  for (const [state, says] of Object.entries(STATES)) {
    const many = list().querySelectorAll(`.card[data-state="${state}"]`).length;
    if (many) words.push(`${many} ${says}`);
  }
  const text = words.join(" · ");
  if ($("count").textContent !== text) $("count").textContent = text;
}
