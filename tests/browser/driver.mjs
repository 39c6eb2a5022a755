// Drives Chromium for the Python tests: one JSON request per line in, one JSON answer per line out.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  // The router of the tests listens on loopback only.
  "--allow-loopback-in-peer-connection",
];

// Playwright makes a profile folder of its own for each launch, and removes it.
const browser = await chromium.launch({ executablePath: process.argv[2], headless: true, args: FLAGS });
const pages = new Map();

const tasks = {
  async open({ page: name, url }) {
    const context = await browser.newContext();
    const page = await context.newPage();
    pages.set(name, page);
    page.on("pageerror", (error) => console.error(`page ${name}: ${error.message}`));
    await page.goto(url);
    await page.evaluate(() => window.ready);
  },

  call({ page, name, values }) {
    const called = ([name, values]) => name.split(".").reduce((one, part) => one[part], window)(...values);
    return pages.get(page).evaluate(called, [name, values]);
  },

  fill({ page, selector, value }) {
    return pages.get(page).fill(selector, value);
  },

  // Waits until the element can be clicked, as a person would.
  click({ page, selector }) {
    return pages.get(page).click(selector);
  },

  async shut({ page: name }) {
    const page = pages.get(name);
    pages.delete(name);
    await page.close({ runBeforeUnload: false });
    await page.context().close();
  },

  // The renderer dies as it would of a bug: nothing in the page gets to say goodbye.
  async crash({ page: name }) {
    const page = pages.get(name);
    const crashed = page.waitForEvent("crash");
    page.goto("chrome://crash").catch(() => {});
    await crashed;
  },

  async closeAll() {
    const all = [...pages.values()];
    pages.clear();
    await Promise.all(all.map((page) => page.context().close()));
  },
};

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

say({ id: 0, value: browser.version() });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, task, ...rest } = JSON.parse(line);
  try {
    say({ id, value: (await tasks[task](rest)) ?? null });
  } catch (error) {
    say({ id, error: error.message });
  }
}
await browser.close();
