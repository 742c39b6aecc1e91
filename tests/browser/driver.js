"use strict";
// Drives real browsers for the tests: a request on each line of standard input, as JSON, and the
// answer to it on a line of standard output. browsers.py is the other end.

const fs = require("node:fs");
const readline = require("node:readline");
const puppeteer = require("puppeteer-core");

const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const TIMEOUT = 60_000; // milliseconds; the machine may be busy with other tests
const browsers = new Map();
const pages = new Map();

// The browsers' own services stay off: whatever they would fetch is no request of the page.
const CHROMIUM = [
  "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--hide-scrollbars",
];
const firefoxPreferences = (downloads) => ({
  "browser.download.folderList": 2,
  "browser.download.dir": downloads,
  "browser.download.always_ask_before_handling_new_types": false,
  "app.update.enabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
});

// WebDriver BiDi has no emulation of media yet: Firefox is a screen, and light but for a browser of
// other preferences. Those of forced colors are the colors of a reader who chose white on black.
const FIREFOX_THEMES = {
  firefox: {},
  "firefox-dark": { "layout.css.prefers-color-scheme.content-override": 0 },
  "firefox-forced": {
    "browser.display.document_color_use": 2,
    "browser.display.use_system_colors": false,
    "browser.display.background_color": "#000000",
    "browser.display.foreground_color": "#ffffff",
    "browser.anchor_color": "#ffff00",
  },
};

const actions = {
  async launch({ browser, executable, downloads }) {
    const firefox = browser in FIREFOX_THEMES;
    browsers.set(browser, { downloads, process: await puppeteer.launch({
      browser: firefox ? "firefox" : "chrome",
      executablePath: executable,
      headless: true,
      timeout: TIMEOUT,
      protocolTimeout: 2 * TIMEOUT,
      ...(firefox
        ? { extraPrefsFirefox: { ...firefoxPreferences(downloads), ...FIREFOX_THEMES[browser] } }
        : { args: CHROMIUM, downloadBehavior: { policy: "allow", downloadPath: downloads } }),
    }) });
  },
  async quit({ browser }) {
    await browsers.get(browser).process.close();
    browsers.delete(browser);
  },

  // Each page has a context of its own: what it stores is forgotten with it.
  async open({ browser, url, width, height, scheme, js, forced_colors, print }) {
    const { process, downloads } = browsers.get(browser);
    const firefox = browser in FIREFOX_THEMES;
    const context = await process.createBrowserContext(
      firefox
        ? {}
        : { downloadBehavior: { policy: "allow", downloadPath: downloads } },
    );
    const page = await context.newPage();
    page.setDefaultTimeout(TIMEOUT);
    const problems = [];
    const requests = [];
    page.on("console", (message) => {
      if (["error", "warn"].includes(message.type())) problems.push(message.text());
    });
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("request", (request) => requests.push(request.url()));
    await page.setViewport({ width, height });
    if (!js) await page.setJavaScriptEnabled(false);
    if (!firefox) {
      const session = await page.createCDPSession();
      await session.send("Emulation.setEmulatedMedia", {
        media: print ? "print" : "screen",
        features: [
          { name: "prefers-color-scheme", value: scheme },
          { name: "prefers-reduced-motion", value: "reduce" },
          { name: "forced-colors", value: forced_colors ? "active" : "none" },
        ],
      });
    }
    await page.goto(url, { waitUntil: "load", timeout: TIMEOUT });
    const number = pages.size;
    pages.set(number, { page, context, problems, requests });
    return number;
  },

  evaluate: async ({ page }, { code, argument, framed }) =>
    (framed ? page.frames().slice(1).at(-1) : page)?.evaluate(
      `(${code})(${JSON.stringify(argument ?? null)})`),
  click: async ({ page }, { selector }) => page.click(selector),
  type: async ({ page }, { selector, text }) => page.type(selector, text),
  press: async ({ page }, { key, shift }) => {
    if (shift) await page.keyboard.down("Shift");
    await page.keyboard.press(key);
    if (shift) await page.keyboard.up("Shift");
  },
  resize: async ({ page }, { width, height }) => page.setViewport({ width, height }),
  reload: async ({ page }) => { await page.reload({ waitUntil: "load", timeout: TIMEOUT }); },
  screenshot: async ({ page }, { path, whole }) => {
    await page.screenshot({ path, fullPage: whole, captureBeyondViewport: whole });
  },
  pdf: async ({ page }, { path }) => { await page.pdf({ path, format: "A4" }); },
  axe: async ({ page }, { within }) => {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(`axe.run(${JSON.stringify(within ?? null)} ?? document, {
      resultTypes: ["violations"],
    })`);
    return violations.map(({ id, help, nodes }) => ({
      rule: id, help, nodes: nodes.map((node) => node.html.slice(0, 300)),
    }));
  },
  problems: async ({ problems }) => problems,
  requests: async ({ requests }) => requests,
  close: async ({ context }, { page }) => { pages.delete(page); await context.close(); },
};

async function answer({ action, ...request }) {
  const known = "page" in request ? pages.get(request.page) : undefined;
  return known ? actions[action](known, request) : actions[action](request);
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let result;
    try {
      result = { value: (await answer(JSON.parse(line))) ?? null };
    } catch (error) {
      result = { error: error.stack ?? String(error) };
    }
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
  await Promise.allSettled([...browsers.values()].map(({ process }) => process.close()));
  process.exit(0);
})();
