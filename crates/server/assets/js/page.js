// What a page does by itself, without asking anybody: what it tells, ages that go on, colours, and where cards
// stand. (All of `js/` is one script, and one function: the files know each other's names.)

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
