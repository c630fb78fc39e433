// Clicks through the pages in a real Chromium. `node run.mjs SITE LARDER [SHOTS]`: the built example
// `site`, the built command line, and the directory for screenshots. Closes with `N passed, N failed`.

import { strict as assert } from "node:assert";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { WIDE, inspect, listenForComplaints, portray } from "./checks.mjs";
import { launch, startDemo, startSite } from "./site.mjs";

const [binary, larder, shots = "screenshots", only] = process.argv.slice(2);
const browser = await launch();
const tests = [];
const test = (name, ways, body, options = {}) => tests.push({ name, ways, body, options });

const card = (page, id) => page.locator(`#card-${id}`);
const badge = (page, id) => card(page, id).locator("> header .badge");
const told = (page) => page.locator("#told:not([hidden])");
const settled = async (page) => {
  await page.locator("#list .card").first().waitFor();
  await page.waitForFunction(() => !document.querySelector('#list [data-state="updating"]'));
};
// A mark that only a page that was not loaded anew still has.
const mark = (page) => page.evaluate(() => (window.isSame = true));
const isSame = (page) => page.evaluate(() => window.isSame === true);

// ---- the clusters ----

test("what is not held yet is fetched, and the page shows it as it comes", [], async ({ page, site }) => {
  await site.github.switch({ hold: true });
  await page.goto(site.url);
  await page.locator('.card[data-state="updating"]').first().waitFor();
  await page.locator(".bones").first().waitFor();
  await inspect(page, "clusters-loading", shots);
  await mark(page);
  await site.github.switch({});
  await settled(page);
  assert.ok(await isSame(page), "it was not loaded anew");
  assert.match(await badge(page, "harbor").textContent(), /^updated (just now|\d+ s ago)$/);
  assert.equal(await card(page, "harbor").locator(".repo").count(), 6);
  await inspect(page, "clusters-fresh", shots);
});

test("a refresh button asks GitHub again without loading the page anew", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await mark(page);
  const before = (await site.github.requests()).length;
  await site.github.change("octo-org/cinder", { stars: 424242 });
  await page.getByRole("button", { name: "Refresh Cinder" }).click();
  await told(page).getByText("1 entry refreshed.").waitFor();
  await card(page, "cinder").getByText("424k").waitFor();
  assert.ok((await site.github.requests()).length > before);
  assert.ok(await isSame(page));
});

test("search narrows the cards as one types, and lives in the address", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.getByRole("searchbox", { name: "Search repositories" }).fill("harbor cli");
  await page.waitForURL(/search=harbor\+cli/);
  await page.waitForFunction(() => document.querySelectorAll("#list .card").length === 1);
  assert.match(await page.locator("#count").textContent(), /^1 repository in 1 cluster/);
  await inspect(page, "clusters-search", shots);
  await page.reload();
  assert.equal(await page.locator("#list .card").count(), 1);
  await page.getByRole("searchbox", { name: "Search repositories" }).fill("no such thing");
  await page.getByText("Nothing found").waitFor();
  await inspect(page, "clusters-nothing-found", shots);
  await page.getByRole("searchbox", { name: "Search repositories" }).fill("");
  await page.waitForFunction(() => document.querySelectorAll("#list .card").length > 5);
  await page.getByLabel("Sort by").selectOption("stars");
  await page.waitForURL(/sort=stars/);
  await page.waitForFunction(() => document.querySelector("#list .card h2").textContent.trim() !== "Cinder featured flagship");
});

test("the keys search, select, refresh and explain themselves", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  await page.keyboard.press("Escape");
  const selected = () => page.evaluate(() => document.activeElement.dataset.key);
  await page.keyboard.press("ArrowDown");
  const first = await selected();
  await page.keyboard.press("ArrowRight");
  const second = await selected();
  await page.keyboard.press("ArrowDown");
  const third = await selected();
  assert.equal(new Set([first, second, third]).size, 3, `${first} ${second} ${third}`);
  await page.keyboard.press("r");
  await told(page).getByText("1 entry refreshed.").waitFor();
  await page.waitForFunction((key) => document.activeElement.dataset.key === key, third);
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await inspect(page, "keys", shots);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog", { name: "Keys" }).waitFor({ state: "hidden" });
});

test("the colours can be switched, and are remembered", [], async ({ page, site }) => {
  await page.goto(site.url);
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme ?? "auto");
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  const button = page.getByRole("button", { name: /^Colours/ });
  await button.click();
  assert.equal(await theme(), "light");
  await button.click();
  assert.equal(await theme(), "dark");
  assert.notEqual(await ground(), light);
  await page.reload();
  assert.equal(await theme(), "dark");
  await button.click();
  assert.equal(await theme(), "auto");
});

test("a change by somebody else is seen on an open page", [], async ({ page, site, context }) => {
  await page.goto(site.url);
  await settled(page);
  await page.locator('#live[data-live="on"]').waitFor();
  await mark(page);
  const other = await context.newPage();
  await other.goto(`${site.url}/cache`);
  await other.getByRole("button", { name: "Invalidate cluster/quill" }).click();
  await page.locator('#card-quill[data-state="stale"]').waitFor();
  await page.bringToFront();
  await inspect(page, "clusters-stale", shots);
  await site.github.change("octo-org/quill", { description: "Seen at once" });
  await other.getByRole("button", { name: "Refresh cluster/quill" }).click();
  await card(page, "quill").getByText("Seen at once").waitFor();
  await page.locator('#card-quill[data-state="fresh"]').waitFor();
  assert.ok(await isSame(page));
});

const look = (page, isHidden) =>
  page.evaluate((isHidden) => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isHidden);
const streams = async (site) => (await (await fetch(`${site.url}/api/v1/stats`)).json()).streams;

test("pages that nobody sees keep no connection, and hear what they missed when one looks again", [], async ({ page, site, context }) => {
  const pages = [page];
  while (pages.length < 6) pages.push(await context.newPage());
  for (const page of pages) {
    await page.goto(site.url);
    await page.locator('#live[data-live="on"]').waitFor();
  }
  for (const page of pages) await look(page, true);
  while ((await streams(site)) > 0) await new Promise((then) => setTimeout(then, 100));
  const seventh = await context.newPage();
  await seventh.goto(site.url);
  await settled(seventh);
  await site.github.change("octo-org/cinder", { stars: 515151 });
  await seventh.getByRole("button", { name: "Refresh Cinder" }).click();
  await card(seventh, "cinder").getByText("515k").waitFor();
  await look(page, false);
  await card(page, "cinder").getByText("515k").waitFor();
  assert.equal(await streams(site), 2);
});

test("a page whose stream was refused for a while shows what it missed", [], async ({ page, site, context }) => {
  await page.route("**/api/v1/events", (route) => route.fulfill({ status: 503 }), { times: 1 });
  await page.goto(site.url);
  await settled(page);
  await page.locator('#live[data-live="off"]').waitFor();
  await site.github.change("octo-org/cinder", { stars: 626262 });
  const other = await context.newPage();
  await other.goto(site.url);
  await other.getByRole("button", { name: "Refresh Cinder" }).click();
  await card(other, "cinder").getByText("626k").waitFor();
  await page.locator('#live[data-live="on"]').waitFor();
  await card(page, "cinder").getByText("626k").waitFor();
}, { expected: [/status of 503/] });

test("an open page keeps nobody upstream busy", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  const csrf = await page.locator('.card input[name="csrf"]').first().inputValue();
  const before = (await site.github.requests()).length;
  const form = { csrf, back: "/", all: "clusters" };
  const headers = { accept: "application/json", origin: site.url };
  await page.request.post(`${site.url}/actions/invalidate`, { form, headers });
  await page.waitForFunction(() => document.querySelectorAll('#list [data-state="stale"]').length > 5);
  assert.equal((await site.github.requests()).length, before);
});

test("what upstream writes is text, never markup", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  const hostile = `<script>window.isTaken = 1</script><img src=x onerror="window.isTaken = 1"> "quoted" & 'more'`;
  await site.github.change("octo-org/cinder", { description: hostile, topics: ["<b>bold</b>"] });
  await page.getByRole("button", { name: "Refresh Cinder" }).click();
  await card(page, "cinder").getByText(hostile).waitFor();
  assert.equal(await page.evaluate(() => window.isTaken), undefined);
  await page.reload();
  await card(page, "cinder").getByText(hostile).waitFor();
  assert.equal(await page.evaluate(() => window.isTaken), undefined);
});

test("a long cluster shows its first repositories, and all of them on a page of its own", ["long"], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  const long = card(page, "modules");
  assert.equal(await long.locator(".repo").count(), 12);
  await long.getByText("118 more").waitFor();
  await inspect(page, "clusters-long", shots);
  await long.getByRole("link", { name: "All 130 repositories of Modules" }).click();
  await page.waitForURL(/\/clusters\/modules$/);
  assert.equal(await page.title(), "Modules · Larder");
  assert.equal(await page.locator(".repo").count(), 100);
  await inspect(page, "cluster", shots);
  await page.getByRole("link", { name: "More repositories" }).click();
  await page.waitForURL(/after=100/);
  assert.equal(await page.locator(".repo").count(), 30);
  await mark(page);
  await site.github.change("octo-org/module-129", { description: "Seen at once" });
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("r");
  // A refresh of so many may outlast what a form waits.
  await told(page).getByText(/^1 entry (is being )?refreshed/).waitFor();
  await page.getByText("Seen at once").waitFor();
  assert.ok(await isSame(page));
  const search = page.getByRole("searchbox", { name: "Search the repositories of Modules" });
  await search.fill("module 004");
  await page.waitForURL((url) => url.search === "?search=module+004");
  await page.waitForFunction(() => document.querySelectorAll(".repo").length === 1);
  await inspect(page, "cluster-search", shots);
  await search.fill("cinder");
  await page.getByText("Nothing found").waitFor();
  await inspect(page, "cluster-nothing-found", shots);
  await page.getByRole("link", { name: "Clusters", exact: true }).last().click();
  await page.getByRole("link", { name: "Harbor", exact: true }).click();
  await page.waitForURL(/\/clusters\/harbor$/);
  assert.equal(await page.locator(".repo").count(), 6);
  await page.goBack();
  await card(page, "modules").waitFor();
});

test("a long cluster is paged and searched without JavaScript", ["long"], async ({ page, site }) => {
  await page.goto(`${site.url}/clusters/modules`);
  await page.getByRole("button", { name: "Refresh Modules" }).click();
  await page.waitForURL(/\/clusters\/modules\?told=/);
  await page.goto(site.url);
  await page.getByRole("link", { name: "All 130 repositories of Modules" }).click();
  await page.getByRole("link", { name: "More repositories" }).click();
  assert.equal(await page.locator(".repo").count(), 30);
  await page.goBack();
  assert.equal(await page.locator(".repo").count(), 100);
  await page.getByRole("searchbox").fill("module-129");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/search=module-129/);
  assert.equal(await page.locator(".repo").count(), 1);
}, { javaScriptEnabled: false });

// ---- pages that stay open ----

test("the forms of an open page go on working when its visit is forgotten", [], async ({ page, site, context }) => {
  await page.goto(site.url);
  await settled(page);
  await mark(page);
  await context.clearCookies();
  await page.getByRole("button", { name: "Refresh all" }).click();
  await told(page).getByText(/^\d+ entries refreshed/).waitFor();
  await context.clearCookies();
  await page.getByRole("button", { name: "Off", exact: true }).click();
  await page.getByText("GitHub is down").waitFor();
  assert.ok(await isSame(page));
}, { expected: [/status of 403/] });

test("leaving the search with Escape leaves the box and the list as they are", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.keyboard.press("/");
  await page.keyboard.type("quill");
  await page.waitForURL(/search=quill/);
  await page.waitForFunction(() => document.querySelectorAll("#list .card").length < 3);
  await page.keyboard.press("Escape");
  assert.notEqual(await page.evaluate(() => document.activeElement.id), "search");
  assert.equal(await page.locator("#search").inputValue(), "quill");
  assert.match(page.url(), /search=quill/);
});

test("arrows begin at what is seen, and scroll where there is nothing to go to", ["long"], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.evaluate(() => window.scrollTo(0, 900));
  await page.keyboard.press("ArrowDown");
  const box = await page.evaluate(() => document.activeElement.getBoundingClientRect().toJSON());
  assert.ok(box.bottom > 0 && box.top < 900, `${box.top} to ${box.bottom}`);
  assert.ok((await page.evaluate(() => window.scrollY)) > 600, "what one reads stays in sight");
  const held = await page.evaluate(() => document.activeElement.dataset.key);
  await page.keyboard.press("Shift+ArrowDown");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.key), held);
  // One card is the whole page: there is nothing to go to.
  await page.goto(`${site.url}/clusters/modules`);
  await page.locator(".card").waitFor();
  for (let times = 0; times < 5; times += 1) await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => window.scrollY > 50);
});

test("what a search shows is what the address says, whatever comes late", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  let release;
  const held = new Promise((then) => (release = then));
  let isAsked;
  const asked = new Promise((then) => (isAsked = then));
  await page.route(/part=card/, async (route) => {
    const answer = await route.fetch();
    isAsked();
    await held;
    await route.fulfill({ response: answer });
  });
  await page.getByRole("button", { name: "Refresh Harbor" }).click();
  await asked;
  await page.getByRole("searchbox").fill("harbor cli");
  await page.waitForFunction(() => document.querySelectorAll("#list .repo").length === 1);
  const late = page.waitForResponse(/part=card/);
  release();
  await (await late).finished();
  await page.evaluate(() => new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then))));
  assert.equal(await page.locator("#list .repo").count(), 1);
});

test("a search that the server cannot be asked for says so", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.route(/part=list/, (route) => route.abort());
  await page.getByRole("searchbox").fill("zzz");
  await told(page).getByText("could not be reached").waitFor();
  assert.ok((await page.locator("#list .card").count()) > 3);
  await page.unroute(/part=list/);
  await page.getByRole("searchbox").fill("zzzz");
  await page.getByText("Nothing found").waitFor();
}, { expected: [/ERR_FAILED/] });

test("a card that grows leaves the others in their columns, and what one reads where it is", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.evaluate(() => window.scrollTo(0, 0));
  const seen = () => page.locator("#list .card").evaluateAll((all) => all.map((one) => [one.dataset.key, one.offsetLeft]));
  const before = await seen();
  assert.equal(new Set(before.map(([, left]) => left)).size, 2, "two columns");
  const [[first]] = before;
  await page.route(/part=card/, async (route) => {
    const answer = await route.fetch();
    const body = (await answer.text()).replace("</article>", `${"<p>One line more</p>".repeat(25)}</article>`);
    await route.fulfill({ response: answer, body });
  });
  const refresh = page.locator("#list .card").first().getByRole("button", { name: /^Refresh/ });
  await refresh.click();
  await page.getByText("One line more").first().waitFor();
  assert.deepEqual(await seen(), before, "a taller card");
  const holes = await page.evaluate(() => {
    const columns = Map.groupBy(document.querySelectorAll("#list .card"), (one) => one.offsetLeft);
    return [...columns.values()].flatMap((column) =>
      column.slice(1).map((one, index) => one.getBoundingClientRect().top - column[index].getBoundingClientRect().bottom),
    );
  });
  assert.ok(holes.every((hole) => hole >= 8 && hole <= 32), `${holes}`);
  // Back to its height while one reads what is below it.
  await page.unroute(/part=card/);
  const below = before.find(([key, left]) => key !== first && left === before[0][1])[0];
  const top = () => page.evaluate((key) => document.querySelector(`[data-key="${key}"]`).getBoundingClientRect().top, below);
  await page.evaluate((key) => document.querySelector(`[data-key="${key}"]`).scrollIntoView(), below);
  await page.evaluate(() => window.scrollBy(0, -80));
  const at = await top();
  await refresh.evaluate((button) => button.click());
  await page.waitForFunction(() => !document.body.textContent.includes("One line more"));
  assert.ok(Math.abs((await top()) - at) < 2, `${await top()} after ${at}`);
  assert.deepEqual(await seen(), before, "as before");
});

// Its clock is so many hours ahead of the server's.
const shiftClock = (page, hours) =>
  page.addInitScript((ms) => {
    const now = Date.now.bind(Date);
    Date.now = () => now() + ms;
  }, hours * 3600_000);
// The panel asks each second.
const seconds = async (page, count) => {
  for (let times = 0; times < count; times += 1) await page.waitForRequest(/demo\/requests/);
};

for (const hours of [10, -10]) {
  test(`ages are the server's where the browser's clock is ${hours} h off, and nothing is asked for that`, [], async ({ page, site }) => {
    await fetch(`${site.url}/api/v1/clusters`);
    await shiftClock(page, hours);
    await page.goto(site.url);
    await settled(page);
    let asked = 0;
    await seconds(page, 1);
    page.on("request", (request) => (asked += request.url().includes("part=") ? 1 : 0));
    await seconds(page, 4);
    assert.equal(asked, 0);
    const badges = await page.locator("#list .card > header .badge").allTextContents();
    for (const badge of badges) assert.match(badge, /^updated (just now|\d+ s ago)$/);
    await page.getByRole("button", { name: "Refresh Cinder" }).click();
    await told(page).getByText("1 entry refreshed.").waitFor();
    await page.waitForFunction(() => /just now|\b[0-3] s ago/.test(document.querySelector("#card-cinder > header .badge").textContent));
  });
}

test("what has expired is asked for once", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  let asked = 0;
  await page.route(/part=card/, async (route) => {
    asked += 1;
    const answer = await route.fetch();
    const body = (await answer.text()).replace(/data-fresh-until="[^"]*"/, 'data-fresh-until="2020-01-01T00:00:00Z"');
    await route.fulfill({ response: answer, body });
  });
  await page.evaluate(() => (document.querySelector("#card-cinder").dataset.freshUntil = "2020-01-01T00:00:00Z"));
  await page.waitForResponse(/part=card/);
  await seconds(page, 5);
  assert.equal(asked, 1);
});

test("the focus comes back to the very link it was on, though another leads to the same place", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.route(/part=card/, async (route) => {
    const answer = await route.fetch();
    const body = (await answer.text()).replace("</article>", '<p><a href="/cache">one way</a> <a href="/cache">another way</a></p></article>');
    await route.fulfill({ response: answer, body });
  });
  const refresh = page.getByRole("button", { name: "Refresh Cinder" });
  await refresh.click();
  await page.getByText("another way").focus();
  const isNew = await page.getByText("another way").elementHandle();
  await refresh.evaluate((button) => button.click());
  await page.waitForFunction((old) => !old.isConnected, isNew);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "another way");
});

test("what a search found is announced, and what happens by itself is not", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  const found = page.locator("#found[role=status]");
  assert.equal(await found.textContent(), "");
  await page.getByRole("button", { name: "Refresh Cinder" }).click();
  await told(page).getByText("1 entry refreshed.").waitFor();
  assert.equal(await found.textContent(), "");
  await page.getByRole("searchbox").fill("harbor cli");
  await found.getByText(/^1 repository in 1 cluster/).waitFor();
  await page.getByRole("searchbox").fill("no such thing");
  await found.getByText(/^0 repositories/).waitFor();
  await page.goto(`${site.url}/trackers`);
  await settled(page);
  await page.getByLabel("State").selectOption("closed");
  await found.getByText(/^\d+ trackers? in/).waitFor();
});

test("the API's page looks like the others and leads back to them", [], async ({ page, site }) => {
  await page.goto(site.url);
  const accent = () => page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--accent"));
  await page.getByRole("button", { name: /^Colours/ }).click();
  await page.getByRole("button", { name: /^Colours/ }).click();
  const dark = await accent();
  await page.getByRole("navigation").getByRole("link", { name: "API" }).click();
  await page.waitForURL(/docs$/);
  assert.equal(await accent(), dark);
  assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
  await inspect(page, "docs", shots);
  await page.getByRole("link", { name: "Clusters", exact: true }).click();
  await settled(page);
});

// ---- widths between a phone and a desk ----

test("no table loses a button or its first column at any width, nor on paper", ["projects"], async ({ page, site }) => {
  const lost = () =>
    page.evaluate(() => {
      const lost = [];
      for (const sheet of document.querySelectorAll(".sheet")) {
        const { left, right } = sheet.getBoundingClientRect();
        for (const one of sheet.querySelectorAll("button, a, td:last-child, th:last-child")) {
          const box = one.getBoundingClientRect();
          if (box.width && (box.left < left - 0.5 || box.right > right + 0.5)) lost.push(one.getAttribute("aria-label") ?? one.textContent);
        }
        for (const lead of sheet.querySelectorAll("[data-row] td:first-child")) {
          if (lead.getBoundingClientRect().width < 160) lost.push(`${lead.textContent.trim()} is squeezed`);
        }
      }
      return lost;
    });
  await page.goto(site.url);
  await settled(page);
  for (const path of ["/cache", "/projects"]) {
    await page.goto(site.url + path);
    await page.locator("#list tr[data-row]").first().waitFor();
    for (const width of [700, 769, 790, 820, 880, 930, 961, 1000, 1100]) {
      await page.setViewportSize({ width, height: 900 });
      assert.deepEqual(await lost(), [], `${path} at ${width} px`);
    }
    // A4 without its margins.
    await page.emulateMedia({ media: "print" });
    await page.setViewportSize({ width: 794, height: 1123 });
    assert.deepEqual(await lost(), [], `${path} on paper`);
    await page.emulateMedia({ media: "screen" });
  }
});

test("the buttons that lead on stay on a phone's page", ["long"], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.setViewportSize({ width: 320, height: 640 });
  // There is more before this place, and behind it.
  await page.goto(`${site.url}/clusters/modules?after=5`);
  const boxes = await page.locator(".more .button").evaluateAll((all) => all.map((one) => one.getBoundingClientRect().toJSON()));
  assert.equal(boxes.length, 2);
  for (const { left, right } of boxes) assert.ok(left >= 0 && right <= 320, `${left} to ${right}`);
});

// ---- when GitHub fails ----

test("with GitHub switched off the copies are shown, with the reason and the next try", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.getByRole("button", { name: "Off", exact: true }).click();
  await page.getByText("GitHub is down").waitFor();
  await page.getByRole("button", { name: "Refresh Harbor" }).click();
  await page.locator('#card-harbor[data-state="error"]').waitFor();
  assert.match(await badge(page, "harbor").textContent(), /^error, updated /);
  await card(page, "harbor").getByText(/could not be reached/).waitFor();
  await card(page, "harbor").getByText(/next try is/).waitFor();
  assert.equal(await card(page, "harbor").locator(".repo").count(), 6);
  await page.locator("#demo-lines .status.bad").first().waitFor();
  // It comes back by itself.
  await page.getByRole("button", { name: "On", exact: true }).click();
  await page.locator('#card-harbor[data-state="fresh"]').waitFor({ timeout: 20_000 });
  await page.getByRole("button", { name: "Off", exact: true }).click();
  await page.getByRole("button", { name: "Refresh Cinder" }).click();
  await page.locator('#card-cinder[data-state="error"]').waitFor();
  await inspect(page, "clusters-off", shots);
  await portray(page, "readme", shots);
  await page.goto(`${site.url}/cache`);
  await inspect(page, "cache-failing", shots);
});

test("a rate limit is told in GitHub's words, and no call is sent meanwhile", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.getByRole("button", { name: "Rate-limited" }).click();
  await page.getByText("GitHub refuses for its rate limit").waitFor();
  await page.getByRole("button", { name: "Refresh Atlas" }).click();
  await card(page, "atlas").getByText(/GitHub said/).waitFor();
  const calls = (await site.github.requests()).length;
  await page.getByRole("button", { name: "Refresh Kiln" }).click();
  await page.locator('#card-kiln[data-state="error"]').waitFor();
  assert.equal((await site.github.requests()).length, calls);
  await inspect(page, "clusters-limited", shots);
  await page.goto(`${site.url}/cache`);
  await page.getByText(/must pause|Nothing is sent/).first().waitFor();
  await inspect(page, "cache-limited", shots);
});

test("what fails by its own fault is set aside, and a person can replay it", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await site.github.switch({ bad_credentials: true });
  const refresh = page.getByRole("button", { name: "Refresh Photon" });
  await refresh.click();
  // On a busy machine its own second try may come before the page has shown the first.
  await page.locator('#card-photon:is([data-state="error"], [data-state="dead"])').waitFor();
  await refresh.click();
  await page.locator('#card-photon[data-state="dead"]').waitFor();
  await inspect(page, "clusters-dead", shots);
  await site.github.switch({});
  await page.getByRole("button", { name: "Replay Photon" }).click();
  await told(page).getByText("1 entry given a new start.").waitFor();
  await page.locator('#card-photon[data-state="fresh"]').waitFor();
});

test("with nothing held and GitHub off, the page says why", ["cold"], async ({ page, site }) => {
  await page.goto(site.url);
  await page.locator('#card-cinder[data-state="error"]').waitFor();
  await card(page, "cinder").getByText("There is no copy to show yet.").waitFor();
  await inspect(page, "clusters-error-without-data", shots);
});

// ---- the cache ----

test("the cache can be looked through, invalidated, refreshed", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.goto(`${site.url}/cache`);
  const row = page.locator('tr[data-key="cluster/tools"]');
  await row.waitFor();
  await page.getByRole("img", { name: /% of .* left/ }).first().waitFor();
  await page.getByRole("button", { name: "Invalidate cluster/tools" }).click();
  await told(page).getByText("1 entry marked stale").waitFor();
  await row.locator(".badge.stale").waitFor();
  await page.waitForFunction(() => /11 fresh · 1 stale/.test(document.querySelector("#count").textContent));
  await inspect(page, "cache", shots);
  await page.getByRole("button", { name: "Refresh cluster/tools" }).click();
  await row.locator(".badge.fresh").waitFor();
  await page.getByRole("link", { name: "Items" }).click();
  await page.locator('th[aria-sort="descending"]').waitFor();
  await page.getByRole("link", { name: /^Items/ }).click();
  await page.locator('th[aria-sort="ascending"]').waitFor();
  await page.getByRole("link", { name: /^Failing/ }).click();
  await page.getByText("No such entries").waitFor();
  await inspect(page, "cache-nothing", shots);
});

test("arrows and r work on the rows of the cache", [], async ({ page, site }) => {
  await page.goto(site.url);
  await settled(page);
  await page.goto(`${site.url}/cache`);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  const key = await page.evaluate(() => document.activeElement.dataset.key);
  assert.equal(key, await page.locator("tr[data-row]").nth(1).getAttribute("data-key"));
  await page.keyboard.press("r");
  await told(page).getByText("1 entry refreshed.").waitFor();
});

// ---- local projects ----

const looked = async (page) => {
  await page.locator("#list tr[data-key]").first().waitFor();
  // One that has not come yet has no row that could say so.
  await page.waitForFunction(() => !document.querySelector("#count")?.textContent.includes("being looked at"));
  await page.waitForFunction(() => !document.querySelector('#list [data-state="updating"], #list [data-state="loading"]'));
};

test("local projects are found while one looks on, and searched as one types", ["projects"], async ({ page, site }) => {
  await page.goto(`${site.url}/projects`);
  await looked(page);
  assert.match(await page.locator("#count").textContent(), /^3 projects · 9 artifacts · 1 outdated · 1 modified · 1 missing$/);
  await inspect(page, "projects", shots);
  await mark(page);
  const search = page.getByRole("searchbox", { name: "Search projects and artifacts" });
  await search.fill("rel no");
  await page.waitForURL(/search=rel\+no/);
  await page.locator(".artifacts tr", { hasText: "release-notes" }).first().waitFor();
  await inspect(page, "projects-search", shots);
  await search.fill("");
  await page.locator("#show").selectOption("all artifacts");
  await page.locator("#status").selectOption("modified");
  await page.waitForURL(/show=artifacts&status=modified/);
  await page.waitForFunction(() => document.querySelectorAll(".artifacts tbody tr").length === 1);
  await inspect(page, "projects-modified", shots);
  assert.ok(await isSame(page));
  await page.reload();
  assert.equal(await page.locator(".artifacts tbody tr").count(), 1);
  await search.fill("no such thing");
  await page.getByText("Nothing found").waitFor();
  await inspect(page, "projects-nothing-found", shots);
});

test("what is written is seen after a look, without loading the page anew", ["projects"], async ({ page, site }) => {
  await page.goto(`${site.url}/projects`);
  await looked(page);
  await mark(page);
  await mkdir(`${site.folder}/kiln/.claude/commands`, { recursive: true });
  await writeFile(`${site.folder}/kiln/.claude/commands/ship.md`, "Ship it.");
  await page.getByRole("button", { name: "Look at kiln anew" }).click();
  await told(page).getByText("1 entry refreshed.").waitFor();
  await page.waitForFunction(() => /0 missing|2 modified$/.test(document.querySelector("#count").textContent));
  await mkdir(`${site.folder}/anvil/.codex/skills/ocr`, { recursive: true });
  await writeFile(`${site.folder}/anvil/.codex/skills/ocr/SKILL.md`, "---\ndescription: Reads pictures\n---\n");
  await page.getByRole("button", { name: "Look at all anew" }).click();
  await page.getByRole("link", { name: "anvil" }).waitFor();
  assert.ok(await isSame(page));
  await page.keyboard.press("ArrowDown");
  assert.match(await page.evaluate(() => document.activeElement.dataset.key), /^projects\/anvil-/);
});

test("what the demo's button does to a file is seen at once, and nobody looks anew", ["demo"], async ({ page, site }) => {
  await page.goto(`${site.url}/projects`);
  await looked(page);
  await page.locator('#live[data-live="on"]').waitFor();
  await mark(page);
  const counts = async () => {
    const text = await page.locator("#count").textContent();
    const count = (word) => Number(text.match(new RegExp(`(\\d+) ${word}`))[1]);
    return { artifacts: count("artifacts"), modified: count("modified") };
  };
  const before = await counts();
  const change = async (says, { artifacts, modified }) => {
    await page.getByRole("button", { name: "Change a file" }).click();
    await told(page).getByText(says).waitFor();
    const wanted = [`${artifacts} artifacts`, `${modified} modified`];
    await page.waitForFunction((all) => all.every((one) => document.querySelector("#count").textContent.includes(one)), wanted);
  };
  await change("kiln/.claude/skills/pdf/SKILL.md was edited", { ...before, modified: before.modified + 1 });
  const both = { artifacts: before.artifacts + 1, modified: before.modified + 1 };
  await change("atlas/.claude/skills/night-shift was written", both);
  await page.getByRole("searchbox").fill("night shift");
  await page.locator(".artifacts tr", { hasText: "Renders large maps" }).first().waitFor();
  await inspect(page, "demo-changed", shots);
  await page.getByRole("searchbox").fill("");
  await page.locator(".artifacts tr", { hasText: "Renders large maps" }).first().waitFor({ state: "detached" });
  await change("kiln/.claude/skills/pdf/SKILL.md was set right again", { ...both, modified: before.modified });
  await change("atlas/.claude/skills/night-shift was deleted", before);
  assert.ok(await isSame(page));
});

test("what is to be had is found beside what projects have, and marked", ["projects", "markets"], async ({ page, site }) => {
  await page.goto(`${site.url}/projects`);
  await looked(page);
  await page.locator('.root[data-key="marketplace/atlas"][data-state="fresh"]').waitFor();
  await mark(page);
  await page.getByRole("searchbox").fill("pdf");
  await page.locator(".artifacts .mark.available").waitFor();
  assert.equal(await page.locator(".artifacts tbody tr").count(), 4);
  await inspect(page, "projects-and-marketplaces", shots);
  await page.locator("#from").selectOption("marketplaces");
  await page.waitForURL(/from=available/);
  await page.waitForFunction(() => document.querySelectorAll(".artifacts tbody tr").length === 1);
  await page.getByRole("searchbox").fill("");
  await page.waitForFunction(() => document.querySelectorAll(".artifacts tbody tr").length === 4);
  await inspect(page, "marketplaces", shots);
  const told = await page.locator("#list .note").textContent();
  assert.match(told, /index\.json/, "the broken one says why");
  assert.ok(await isSame(page));
});

test("a project's page shows its artifacts, versions and warnings", ["projects"], async ({ page, site }) => {
  await page.goto(`${site.url}/projects`);
  await looked(page);
  await page.getByRole("link", { name: "kiln", exact: true }).click();
  await page.getByRole("heading", { name: "kiln", exact: true }).waitFor();
  await page.getByText("2.1.0").waitFor();
  await inspect(page, "project", shots);
  await page.getByRole("link", { name: /^Missing/ }).click();
  await page.waitForURL(/show=missing/);
  assert.equal(await page.locator(".artifacts tbody tr").count(), 1);
  await page.getByRole("link", { name: "Projects" }).first().click();
  await page.getByRole("link", { name: "forge", exact: true }).click();
  await page.getByText("1 warning").waitFor();
  await inspect(page, "project-warning", shots);
});

test("an open page of a project says that it is gone", ["projects"], async ({ page, site }) => {
  await page.goto(`${site.url}/projects`);
  await looked(page);
  await page.getByRole("link", { name: "forge", exact: true }).click();
  await page.getByText("1 warning").waitFor();
  await mark(page);
  await rm(`${site.folder}/forge`, { recursive: true });
  const { cache } = await (await fetch(`${site.url}/api/v1/projects`)).json();
  await fetch(`${site.url}/api/v1/entries/${cache[0].key}/refresh`, { method: "POST" });
  await page.getByRole("heading", { name: "This project is gone" }).waitFor();
  assert.ok(await isSame(page));
  await inspect(page, "project-gone", shots);
});

test("a hundred projects are sorted and paged", ["hundred"], async ({ page, site }) => {
  await page.goto(`${site.url}/projects`);
  await looked(page);
  await inspect(page, "projects-hundred", shots);
  await page.getByRole("link", { name: "Missing" }).click();
  await page.locator('th[aria-sort="descending"]', { hasText: "Missing" }).waitFor();
  await page.goto(`${site.url}/projects?show=artifacts`);
  await page.getByRole("link", { name: "More" }).click();
  await page.waitForURL(/after=100/);
  assert.equal(await page.locator(".artifacts tbody tr").count(), 100);
});

test("with no project found the page says what one is", ["bare"], async ({ page, site }) => {
  await page.goto(`${site.url}/projects`);
  await page.getByText("No project was found").waitFor();
  await inspect(page, "projects-none", shots);
});

test("with no folder to look in the page says what to do", [], async ({ page, site }) => {
  await page.goto(`${site.url}/projects`);
  await page.getByRole("heading", { name: "No folder to look for projects in" }).waitFor();
  await inspect(page, "projects-first-run", shots);
});

test("the projects' pages work without JavaScript", ["projects"], async ({ page, site }) => {
  await page.goto(`${site.url}/projects`);
  await page.getByRole("button", { name: "Look at all anew" }).click();
  await page.getByRole("link", { name: "kiln", exact: true }).waitFor();
  await page.getByRole("searchbox").fill("postgres");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/search=postgres/);
  await page.getByText("Nothing found").waitFor();
  await page.getByRole("searchbox").fill("pdf");
  await page.locator("#show").selectOption("skills");
  await page.getByRole("button", { name: "Show" }).click();
  assert.equal(await page.locator(".artifacts tbody tr").count(), 3);
}, { javaScriptEnabled: false });

// ---- the trackers ----

const list = (page, name) => page.getByRole("region", { name });

test("trackers are shown a repository a card, open ones first, as they come", [], async ({ page, site }) => {
  await site.github.switch({ hold: true });
  await page.goto(`${site.url}/trackers`);
  await page.locator('[data-key="trackers/octo-org/harbor/release"][data-state="updating"]').waitFor();
  assert.match(await page.locator("#count").textContent(), /4 updating$/);
  await inspect(page, "trackers-loading", shots);
  await mark(page);
  await site.github.switch({});
  await settled(page);
  assert.ok(await isSame(page), "it was not loaded anew");
  assert.equal(await page.locator("#count").textContent(), "13 trackers in 4 repositories");
  const releases = list(page, "Releases of octo-org/harbor");
  const first = await releases.locator("tbody tr").first().textContent();
  assert.match(first, /v2\.13\.0.*Quay.*#1031.*Active/s);
  assert.match(await releases.locator("svg[role=img]").getAttribute("aria-label"), /^Closed by month: \d in \d{4}-\d\d/);
  await list(page, "Releases of octo-org/cinder").getByText("There are no releases.").waitFor();
  await inspect(page, "trackers", shots);
});

test("a repository's trackers are refreshed by its button, and the filters live in the address", [], async ({ page, site }) => {
  await page.goto(`${site.url}/trackers`);
  await settled(page);
  await mark(page);
  await site.github.issue("octo-org/quill/412", { closed_at: new Date().toISOString(), updated_at: new Date().toISOString() });
  await page.getByRole("button", { name: "Refresh octo-org/quill" }).click();
  await told(page).getByText("2 entries refreshed.").waitFor();
  const quill = list(page, "Releases of octo-org/quill");
  await quill.getByText("0 open · 3 closed").waitFor();
  await page.getByLabel("State").selectOption("open");
  await page.waitForURL(/state=open/);
  await quill.getByText("None of the 3 releases matches the filters.").waitFor();
  await page.getByLabel("Repository").selectOption("octo-org/harbor");
  await page.getByLabel("Type").selectOption("microsprint");
  await page.waitForFunction(() => document.querySelectorAll("#list .lines tbody tr").length === 1);
  assert.ok(await isSame(page));
  await page.reload();
  assert.equal(await page.locator("#list .lines tbody tr").count(), 1);
  assert.equal(await page.getByLabel("Type").inputValue(), "microsprint");
  await page.getByLabel("Opened since").fill("2096-01-01");
  await page.getByText("None of the 3 microsprints matches the filters.").waitFor();
  await inspect(page, "trackers-filtered", shots);
});

test("twelve hundred trackers are a few on a card and a list of pages", ["tracked"], async ({ page, site }) => {
  await page.goto(`${site.url}/trackers`);
  await settled(page);
  const releases = list(page, "Releases of octo-org/cinder");
  assert.equal(await releases.locator("tbody tr").count(), 6);
  await inspect(page, "trackers-many", shots);
  await releases.getByRole("link", { name: "All 1,200 releases" }).click();
  await page.waitForURL(/repo=octo%2Dorg%2Fcinder&type=release/);
  assert.equal(await releases.locator("tbody tr").count(), 100);
  await inspect(page, "trackers-list", shots);
  await page.getByRole("link", { name: "Older ones" }).click();
  await page.waitForURL(/cursor=/);
  assert.equal(await releases.locator("tbody tr").count(), 100);
  assert.equal(await releases.getByText("Active").count(), 0, "the open ones stood first");
});

test("what went wrong with trackers stands beside the copy", [], async ({ page, site }) => {
  await page.goto(`${site.url}/trackers`);
  await settled(page);
  await site.github.switch({ outage: "dropped" });
  await page.getByRole("button", { name: "Refresh all" }).click();
  await told(page).getByText("could not be refreshed").waitFor();
  await page.locator("#list .badge.error").first().waitFor();
  assert.ok((await list(page, "Releases of octo-org/harbor").locator("tbody tr").count()) > 0);
  await inspect(page, "trackers-failing", shots);
  await site.github.switch({});
});

test("the trackers' page and its forms work without JavaScript", [], async ({ page, site }) => {
  await page.goto(`${site.url}/trackers`);
  await page.goto(`${site.url}/trackers`);
  await page.getByRole("button", { name: "Refresh octo-org/harbor" }).click();
  await page.getByText("2 entries refreshed.").waitFor();
  await page.getByLabel("State").selectOption("closed");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/state=closed/);
  assert.equal(await page.locator("#list").getByText("Active", { exact: true }).count(), 0);
}, { javaScriptEnabled: false });

// ---- many entries ----

test("the cache's entries come in pages, and are found by their keys as one types", ["many"], async ({ page, site }) => {
  const rows = page.locator("#list tr[data-row]");
  await page.goto(`${site.url}/cache`);
  assert.equal(await rows.count(), 100);
  const first = await rows.first().getAttribute("data-key");
  await page.getByRole("link", { name: "More entries" }).click();
  await page.waitForURL(/after=/);
  assert.ok((await rows.count()) < 100);
  assert.notEqual(await rows.first().getAttribute("data-key"), first);
  await page.goto(`${site.url}/cache?show=missing`);
  await mark(page);
  await page.getByRole("searchbox", { name: "Search entries by key" }).fill("more-00");
  await page.waitForURL(/search=more-00&show=missing/);
  await page.waitForFunction(() => document.querySelectorAll("#list tr[data-row]").length === 10);
  assert.match(await page.locator("#count").textContent(), /^10 entries/);
  assert.ok(await isSame(page));
  await inspect(page, "cache-search", shots);
  await page.getByRole("searchbox", { name: "Search entries by key" }).fill("no such key");
  await page.getByText("No such entries").waitFor();
});

// ---- without JavaScript ----

test("every page and form works without JavaScript", [], async ({ page, site }) => {
  await page.goto(site.url);
  await page.waitForFunction(() => true).catch(() => {});
  await page.goto(site.url);
  await page.getByRole("button", { name: "Refresh Harbor" }).click();
  await page.getByText("1 entry refreshed.").waitFor();
  assert.equal(await page.locator("#card-harbor .repo").count(), 6);
  await page.getByRole("searchbox").fill("quill");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/search=quill/);
  assert.ok((await page.locator("#list .card").count()) <= 2);
  await page.getByRole("button", { name: /^Colours/ }).click();
  await page.waitForURL(/search=quill/);
  assert.equal(await page.locator("html").getAttribute("data-theme"), "light");
  await page.goto(`${site.url}/cache`);
  await page.getByRole("button", { name: "Invalidate cluster/harbor" }).click();
  await page.getByText("1 entry marked stale").waitFor();
  await page.getByRole("button", { name: "Off", exact: true }).click();
  await page.getByText("GitHub is down").waitFor();
}, { javaScriptEnabled: false });

// ---- first run, tokens, other addresses ----

test("with nothing configured the page says what to do", ["empty"], async ({ page, site }) => {
  await page.goto(site.url);
  await page.getByRole("heading", { name: "Nothing is configured yet" }).waitFor();
  await page.getByText("[[cluster]]").waitFor();
  await inspect(page, "first-run", shots);
  await page.goto(`${site.url}/trackers`);
  await page.getByRole("heading", { name: "No trackers are kept yet" }).waitFor();
  await inspect(page, "trackers-first-run", shots);
  await page.goto(`${site.url}/cache`);
  await page.getByText("Nothing is cached yet").waitFor();
  await inspect(page, "cache-empty", shots);
});

test("without a token only what is public is shown, and changes ask for one", ["token"], async ({ page, site }) => {
  const admin = { authorization: "Bearer admin" };
  await page.request.get(`${site.url}/api/v1/clusters`, { headers: admin });
  await page.goto(site.url);
  await settled(page);
  assert.equal(await page.locator(".mark.private").count(), 0);
  await inspect(page, "public", shots);
  await page.goto(`${site.url}/cache`);
  assert.equal(await page.getByRole("button", { name: /^Invalidate/ }).count(), 0);
  await page.getByRole("link", { name: "Sign in" }).click();
  await inspect(page, "sign-in", shots);
  await page.getByLabel("Token").fill("wrong");
  await page.locator("main").getByRole("button", { name: "Sign in" }).click();
  await page.getByText("That is not a token").waitFor();
  await inspect(page, "sign-in-wrong", shots);
  await page.getByLabel("Token").fill("admin");
  await page.locator("main").getByRole("button", { name: "Sign in" }).click();
  await page.getByText("You are signed in.").waitFor();
  assert.match(page.url(), /\/cache/, "one is led back to where one came from");
  await page.goto(site.url);
  await page.locator(".mark.private").first().waitFor();
  await page.goto(`${site.url}/cache`);
  await page.getByRole("button", { name: "Invalidate cluster/harbor" }).click();
  await told(page).getByText("1 entry marked stale").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
  assert.equal(await page.locator(".mark.private").count(), 0);
}, { expected: [/status of 403/] });

test("a long list goes on behind its end", ["many"], async ({ page, site }) => {
  await page.goto(site.url);
  await page.locator(".card").first().waitFor();
  await page.getByRole("link", { name: "More clusters" }).click();
  await page.waitForURL(/after=/);
  await page.locator(".card").first().waitFor();
  assert.equal(await page.locator("#card-cinder").count(), 0);
});

test("an address that is none says so", [], async ({ page, site }) => {
  const response = await page.goto(`${site.url}/nowhere`);
  assert.equal(response.status(), 404);
  await page.getByRole("heading", { name: "There is no such page" }).waitFor();
  await inspect(page, "not-found", shots);
}, { expected: [/status of 404/] });

test("nothing moves for those who do not want it", [], async ({ page, site }) => {
  await site.github.switch({ hold: true });
  await page.emulateMedia({ reducedMotion: "reduce" });
  await page.goto(site.url);
  await page.locator(".badge.updating").first().waitFor();
  const name = await page.evaluate(() => getComputedStyle(document.querySelector(".badge.updating"), "::before").animationName);
  assert.equal(name, "none");
  await site.github.switch({});
});

// ---- run ----

let failed = 0;
let passed = 0;

async function run({ name, ways, body, options }) {
  const began = performance.now();
  const site = ways.includes("demo") ? await startDemo(larder) : await startSite(binary, ...ways);
  const { expected, ...contextOptions } = options;
  const context = await browser.newContext({ viewport: WIDE, colorScheme: "light", ...contextOptions });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints = listenForComplaints(page, expected);
  try {
    await body({ page, site, context });
    assert.deepEqual(complaints, [], "the browser complained");
    passed += 1;
    console.log(`ok      ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${String(error.stack).split("\n").slice(0, 30).join("\n")}`);
    await page.screenshot({ path: `${shots}/failed-${failed}.png`, fullPage: true }).catch(() => {});
  } finally {
    await context.close();
    await site.stop();
  }
}

// Each has a site and a visitor of its own, so that two can go side by side.
const waiting = tests.filter(({ name }) => !only || name.includes(only));
const worker = async () => {
  while (waiting.length > 0) await run(waiting.shift());
};
await Promise.all([worker(), worker()]);
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
