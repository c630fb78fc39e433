// Starts the example `site`, and gives a browser to look at it with.

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
  const child = spawn(binary, ways, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([
    new Promise((resolve) => lines.once("line", resolve)),
    ended.then((code) => Promise.reject(new Error(`the site ended with ${code}`))),
  ]);
  const { site, github, folder } = JSON.parse(line);
  return {
    url: site,
    folder,
    github: {
      switch: (switches) => put(`${github}/_sim/switches`, switches),
      requests: async () => (await (await fetch(`${github}/_sim/requests`)).json()).requests,
      issue: (place, changes) => put(`${github}/_sim/issues/${place}`, changes, "POST"),
      change: (name, repository) => put(`${github}/_sim/repos/${name}`, repository, "POST"),
    },
    async stop() {
      child.stdin.end();
      await ended;
    },
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
