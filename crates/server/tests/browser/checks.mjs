// What every page and state must stand: axe finds nothing, the browser complains of nothing, nothing
// sticks out at 320 px. Each leaves screenshots in light, dark and phone width.

import { readFile, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { strict as assert } from "node:assert";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
const NARROWEST = { width: 320, height: 640 };

// Complaints of the browser itself: script errors, refused inline scripts and styles, missing files.
export function listenForComplaints(page, expected = []) {
  const complaints = [];
  const add = (text) => {
    if (!expected.some((known) => known.test(text))) complaints.push(text);
  };
  page.on("console", (message) => message.type() === "error" && add(message.text()));
  page.on("pageerror", (error) => add(String(error)));
  page.on("request", (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (protocol.startsWith("http") && hostname !== "127.0.0.1") add(`asked ${hostname}`);
  });
  return complaints;
}

export async function inspect(page, name, shots) {
  await mkdir(shots, { recursive: true });
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await axe(page, `${name}, ${scheme}`);
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.screenshot({ path: `${shots}/${name}-${scheme}.png`, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(NARROWEST);
  const sticksOut = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(sticksOut, 0, `${name} sticks out at 320 px`);
  await page.setViewportSize(PHONE);
  await axe(page, `${name}, phone`);
  await page.screenshot({ path: `${shots}/${name}-phone.png`, fullPage: true });
  await page.setViewportSize(WIDE);
}

// What fits on a screen, as a README shows it.
export async function portray(page, name, shots) {
  await page.evaluate(() => {
    document.getElementById("told").hidden = true;
    document.activeElement.blur();
    window.scrollTo(0, 0);
  });
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: `${shots}/${name}-${scheme}.png` });
  }
  await page.emulateMedia({ colorScheme: "light" });
}

async function axe(page, name) {
  // Evaluated from outside, so that the page's policy stays as strict as it is.
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  const said = violations.map(
    ({ id, help, nodes }) => `${id}: ${help}\n${nodes.map((node) => `    ${node.html.slice(0, 160)}\n    ${node.any.map((one) => one.message).join("; ")}`).join("\n")}`,
  );
  assert.equal(said.length, 0, `axe on ${name}:\n${said.join("\n")}`);
}
