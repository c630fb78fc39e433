// Starts the example `site` or the demo, and gives a browser to look at it with.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function startSite(binary, ...ways) {
  const { told, child, ended } = await start(binary, ways);
  const stop = async () => {
    child.stdin.end();
    await ended;
  };
  return { url: told.site, folder: told.folder, github: github(told.github), stop };
}

// The demo as people start it, on a port of its own.
export async function startDemo(larder) {
  const { told, child, ended } = await start(larder, ["demo", "--listen", "127.0.0.1:0", "--json"]);
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { url: told.url, folder: told.folder, github: github(told.github), stop };
}

// Starts what says in a line of JSON where it is.
async function start(binary, args) {
  const child = spawn(binary, args, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([
    new Promise((resolve) => lines.once("line", resolve)),
    ended.then((code) => Promise.reject(new Error(`the site ended with ${code}`))),
  ]);
  return { told: JSON.parse(line), child, ended };
}

function github(address) {
  return {
    switch: (switches) => put(`${address}/_sim/switches`, switches),
    requests: async () => (await (await fetch(`${address}/_sim/requests`)).json()).requests,
    issue: (place, changes) => put(`${address}/_sim/issues/${place}`, changes, "POST"),
    change: (name, repository) => put(`${address}/_sim/repos/${name}`, repository, "POST"),
  };
}

async function put(address, body, method = "PUT") {
  const headers = { "content-type": "application/json" };
  const response = await fetch(address, { method, headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${address}: ${response.status} ${await response.text()}`);
}

export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: FLAGS });
}
