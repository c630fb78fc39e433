// What the pages can do with JavaScript: live updates, search as you type, forms that do not
// reload, keys. Everything here is a convenience; each page is whole without it.
(() => {
  "use strict";

  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  const list = () => $("list");
  const isClusters = location.pathname === "/";
  const LISTENING = ["change", "refreshed"];

  // ---- telling ----

  let quiet;

  function tell(text, isWrong) {
    const told = $("told");
    clearTimeout(quiet);
    quiet = setTimeout(() => (told.hidden = true), isWrong ? 15000 : 7000);
    told.classList.add("over");
    told.textContent = text;
    told.hidden = false;
    told.classList.toggle("wrong", Boolean(isWrong));
    told.setAttribute("role", isWrong ? "alert" : "status");
  }

  // A message that came with the address is said once, not at every reload or to who gets the link.
  const here = new URL(location.href);
  if (here.searchParams.has("told")) {
    for (const name of ["told", "count"]) here.searchParams.delete(name);
    history.replaceState(null, "", here);
  }

  // ---- ages ----

  const UNITS = [[31536000, "y"], [2592000, "mo"], [86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

  function span(seconds) {
    const unit = UNITS.find(([length]) => seconds >= length);
    return unit ? `${Math.floor(seconds / unit[0])} ${unit[1]}` : "";
  }

  // What is due in 5 h 59 min is due in 6 h.
  function nearly(seconds) {
    const [length] = UNITS.find(([length]) => seconds >= length) || [0];
    return span(seconds + Math.floor(length / 2));
  }

  // How far the server's clock is ahead of this machine's: ages are told by the server's. A page that is gone
  // back to is older than it looks; the first answer that follows puts that right.
  let ahead = (() => {
    const [seen] = performance.getEntriesByType("navigation");
    const age = performance.now() - (seen?.responseStart ?? 0);
    return Number(document.body.dataset.now) + age - Date.now();
  })();

  function serverNow() {
    return Date.now() + ahead;
  }

  // An answer's date is whole seconds: what is within them is left as it is.
  function mindClock(date) {
    const told = Date.parse(date) + 500 - Date.now();
    if (Math.abs(told - ahead) > 2000) ahead = told;
  }

  function tick() {
    const now = serverNow();
    for (const time of document.querySelectorAll("time[data-way]")) {
      const passed = Math.round((now - Date.parse(time.dateTime)) / 1000);
      const seconds = time.dataset.way === "past" ? Math.max(0, passed) : passed;
      const words = seconds >= 1 ? `${span(seconds)} ago` : seconds <= -1 ? `in ${nearly(-seconds)}` : "just now";
      const gone = time.dataset.way === "due" && seconds >= 0 ? "now" : words;
      if (time.textContent !== gone) time.textContent = gone;
    }
  }

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

  // ---- cards without holes between them ----

  const ROW = 8;
  const GAP = 16;

  const sizes = new ResizeObserver((seen) => {
    for (const { target } of seen) pack(target);
    keepColumns(list()?.querySelector(".cards.packed"));
  });

  function pack(card) {
    const rows = Math.ceil((card.offsetHeight + GAP) / ROW);
    card.style.gridRowEnd = `span ${rows}`;
  }

  // Each card keeps the column that it came to, until there are other cards or the page is of another width: one that
  // grows must not send the others across the page. What is loaded for the first time is laid out once it is there.
  let placed = { of: "", columns: [] };

  function keepColumns(cards) {
    if (!cards) return;
    const all = [...cards.children];
    const isLoading = cards.querySelector(".bones") ? "loading" : "";
    const of = [cards.clientWidth, isLoading, ...all.map((one) => one.dataset.key)].join(" ");
    if (placed.of !== of) {
      cards.classList.remove("placed");
      for (const one of all) one.style.removeProperty("--column");
      const lefts = all.map((one) => one.offsetLeft);
      const columns = [...new Set(lefts)].sort((a, b) => a - b);
      placed = { of, columns: lefts.map((left) => columns.indexOf(left) + 1) };
    }
    all.forEach((one, index) => one.style.setProperty("--column", placed.columns[index]));
    cards.classList.add("placed");
  }

  function packAll() {
    sizes.disconnect();
    const cards = list()?.querySelector(".cards");
    if (!cards) return;
    for (const card of cards.children) pack(card);
    cards.classList.add("packed");
    keepColumns(cards);
    for (const card of cards.children) sizes.observe(card);
  }

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

  // ---- forms that do not reload ----

  // A form whose token is no longer this visitor's (the server began anew, the cookie is gone) is sent
  // once more with the one that the answer tells.
  async function post(form, submitter, isAgain = false) {
    const response = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form, submitter)),
      headers: { Accept: "application/json" },
      credentials: "same-origin",
    });
    const answer = await response.json();
    if (response.ok || !answer.csrf || isAgain) return { isWell: response.ok, answer };
    renew(answer.csrf);
    // It may have been swapped away meanwhile.
    form.elements.csrf.value = answer.csrf;
    return post(form, submitter, true);
  }

  async function send(form, submitter) {
    const button = submitter || form.querySelector("button");
    button.setAttribute("aria-busy", "true");
    const holder = form.closest("[data-key]");
    const badge = form.action.endsWith("/refresh") && holder?.querySelector(".badge");
    if (badge) {
      badge.className = "badge updating";
      badge.textContent = "updating…";
    }
    try {
      const { isWell, answer } = await post(form, submitter);
      tell(answer.message ?? answer.detail, !isWell || answer.wrong);
    } catch {
      tell("The server could not be reached. What you see is as it was before.", true);
    } finally {
      button.removeAttribute("aria-busy");
      if (holder) changed(holder.dataset.key);
      else reloadList();
    }
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-act]")) {
      event.preventDefault();
      send(form, event.submitter);
    } else if (form.matches("[data-demo]")) {
      event.preventDefault();
      turn(form, event.submitter);
    } else if (form.id === "find") {
      event.preventDefault();
      find();
    } else if (form.id === "theme") {
      event.preventDefault();
      nextTheme(form);
    }
  });

  // ---- colours ----

  const THEMES = ["auto", "light", "dark"];
  const THEME_WORDS = { auto: "Auto", light: "Light", dark: "Dark" };

  function nextTheme(form) {
    const theme = form.elements.theme.value;
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    const year = 365 * 24 * 3600;
    document.cookie = `larder_theme=${theme}; Path=/; Max-Age=${year}; SameSite=Strict`;
    form.elements.theme.value = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    form.querySelector(".word").textContent = THEME_WORDS[theme];
  }

  // ---- search as you type ----

  function find() {
    const address = new URL(location.href);
    const search = $("search").value.trim();
    address.search = "";
    if (search) address.searchParams.set("search", search);
    for (const pick of $("find").querySelectorAll("select, input[type=hidden]")) {
      if (pick.value !== pick.options?.[0].value) address.searchParams.set(pick.name, pick.value);
    }
    if (address.href !== location.href) history.replaceState(null, "", address);
    seek();
  }

  let typed;
  function searchAsTyped() {
    if (!$("find")) return;
    $("find").querySelector("button").hidden = true;
    $("search").addEventListener("input", () => {
      clearTimeout(typed);
      typed = setTimeout(find, 120);
    });
    for (const pick of $("find").querySelectorAll("select")) pick.addEventListener("change", find);
  }

  // ---- filters that apply themselves ----

  function filters() {
    const form = document.querySelector("form[data-filter]");
    if (!form) return;
    form.querySelector("button").hidden = true;
    form.addEventListener("change", () => apply(form));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      apply(form);
    });
  }

  function apply(form) {
    const address = new URL(form.action);
    for (const [name, value] of new FormData(form)) if (value) address.searchParams.set(name, value);
    if (address.href !== location.href) history.replaceState(null, "", address);
    seek();
  }

  // ---- keys ----

  const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

  function places() {
    return [...document.querySelectorAll("#list .card, #list tr[data-row]")];
  }

  function selected() {
    return document.activeElement?.closest("#list .card, #list tr[data-row]");
  }

  // The first of those that are seen, better one that is seen from its top on.
  function firstSeen(all) {
    const edge = Math.max(0, document.querySelector(".top").getBoundingClientRect().bottom);
    const seen = all.filter((one) => {
      const { top, bottom } = one.getBoundingClientRect();
      return bottom > edge && top < innerHeight;
    });
    return seen.find((one) => one.getBoundingClientRect().top >= edge) ?? seen[0];
  }

  // The nearest place in that direction, if there is one; what lies straight ahead comes before what lies aside.
  function placeAt([x, y]) {
    const all = places();
    const from = selected();
    if (!from) return firstSeen(all);
    const middle = (box) => [box.left + box.width / 2, box.top];
    const [fx, fy] = middle(from.getBoundingClientRect());
    let best;
    for (const one of all) {
      if (one === from) continue;
      const [ox, oy] = middle(one.getBoundingClientRect());
      const ahead = (ox - fx) * x + (oy - fy) * y;
      const aside = Math.abs((ox - fx) * y) + Math.abs((oy - fy) * x);
      const cost = ahead + aside * 3;
      if (ahead > 1 && (!best || cost < best.cost)) best = { one, cost };
    }
    return best?.one;
  }

  function takesText(element) {
    return element.matches("input:not([type=hidden]), select, textarea, [contenteditable]");
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    const target = event.target;
    if (takesText(target)) {
      if (event.key !== "Escape") return;
      // Else the browser empties the box and tells nobody, and the list stays as it was.
      if (target.type === "search") event.preventDefault();
      target.blur();
      return;
    }
    if (event.key === "/" && $("search")) {
      event.preventDefault();
      $("search").focus();
      $("search").select();
    } else if (event.key === "?") {
      event.preventDefault();
      $("keys").showModal();
    } else if (event.key === "r" && selected()) {
      event.preventDefault();
      selected().querySelector("[data-refresh]")?.click();
    } else if (ARROWS[event.key] && !event.shiftKey && !target.closest("#demo")) {
      // Where there is nothing to go to, the arrow scrolls.
      const place = placeAt(ARROWS[event.key]);
      if (!place) return;
      event.preventDefault();
      place.focus();
    }
  });

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
})();
