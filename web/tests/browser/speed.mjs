/** Times the page for results/web_speed.py: each line on standard input, "THREADS RUNS", is answered by their times. */
import { createInterface } from "node:readline";
import { launch } from "./chromium.mjs";

const [url, image] = /** @type {[string, string]} */ (process.argv.slice(2));
const browser = await launch();
/** @type {Map<string, import("playwright-core").Page>} */
const pages = new Map();

/** @param {string} threads */
async function pageOf(threads) {
  const page = pages.get(threads) ?? (await browser.newPage());
  if (!pages.has(threads)) {
    await page.goto(`${url}?model=polyp&threads=${threads}`);
    await page.waitForSelector(`html[data-engine=ready][data-threads="${threads}"]`);
    await page.waitForSelector("html[data-offline=ready]");
    pages.set(threads, page);
  }
  return page;
}

/** @param {import("playwright-core").Page} page */
async function once(page) {
  await page.evaluate(() => {
    window.lvunet.last = null;
  });
  await page.setInputFiles("#file", image);
  await page.waitForFunction(() => window.lvunet.last !== null);
  return page.evaluate(() => window.lvunet.last?.timings_ms);
}

for await (const line of createInterface(process.stdin)) {
  const [threads, runs] = /** @type {[string, string]} */ (line.split(" "));
  const page = await pageOf(threads);
  const times = [];
  for (let run = 0; run < Number(runs); run++) times.push(await once(page));
  console.log(JSON.stringify(times));
}
await browser.close();
