// What people do: forms that do not reload, search as you type, filters, keys.

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
