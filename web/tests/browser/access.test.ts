/** For everyone: by keyboard alone, by ear, in the dark, on a phone. Leaves a picture of every state in out/. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { AxeResults, RunOptions } from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { choose, launch, open, picture, segment, sentence } from "./harness";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [url, drawn] = [inject("url"), inject("drawn")];
let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const STATES: Record<string, (page: Page) => Promise<unknown>> = {
  empty: async () => undefined,
  error: async (page) => {
    await page.setInputFiles("#file", { name: "letter.txt", mimeType: "text/plain", buffer: Buffer.from("Dear") });
    await page.waitForSelector("#message:not(:empty):visible");
  },
  result: (page) => segment(page, join(drawn, "polyp.png")),
  mask: (page) => view(page, "mask"),
  probability: (page) => view(page, "probability"),
  several: async (page) => {
    await view(page, "overlay");
    await page.setInputFiles(
      "#file",
      ["polyp-odd.jpg", "polyp.png"].map((name) => join(drawn, name)),
    );
    await page.waitForFunction(() => window.lvunet.last?.image === "polyp-odd");
  },
  about: async (page) => {
    await page.click("#close");
    await page.locator("input[name=model][value=breast-ultrasound]").check({ force: true });
    await page.waitForSelector("html[data-engine=ready]");
    await page.click("summary");
  },
  dicom: async (page) => [await choose(page, "polyp"), await segment(page, join(drawn, "window.dcm"))],
};
const SCREENS: Record<string, BrowserContextOptions> = {
  desktop: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  phone: {
    viewport: { width: 390, height: 844 },
    colorScheme: "light",
    isMobile: true,
    hasTouch: true,
    deviceScaleFactor: 2,
  },
  "phone dark": { viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true },
};

const view = (page: Page, name: string): Promise<void> =>
  page.locator(`input[name=view][value=${name}]`).check({ force: true });

describe.each(Object.entries(SCREENS))("on %s", (screen, options) => {
  let page: Page;
  beforeAll(async () => {
    page = await open(browser, `${url}?model=polyp`, { ...options, bypassCSP: true }); // for axe alone
    await page.evaluate(AXE);
  });
  afterAll(() => page.context().close());

  test.each(Object.entries(STATES))("%s shuts nobody out", async (state, reach) => {
    await reach(page);
    await page.waitForTimeout(300); // the end of transitions, whose colours are in between
    await picture(page, `${screen} ${state}`);
    const found = await page.evaluate((): Promise<AxeResults> => {
      const { axe } = globalThis as unknown as { axe: { run: (options: RunOptions) => Promise<AxeResults> } };
      return axe.run({ resultTypes: ["violations"] });
    });
    expect(
      found.violations.map(({ id, impact, nodes }) => `${impact}: ${id}: ${nodes.map((node) => node.html)}`),
    ).toEqual([]);
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(sideways, "nothing to scroll sideways").toBeLessThanOrEqual(0);
  });
});

test("the keyboard alone opens the example, moves the threshold and saves the mask", async () => {
  const page = await open(browser, `${url}?model=polyp`);
  await walk(page, "#example");
  await page.keyboard.press("Enter");
  await page.waitForSelector("html[data-state=result]");
  const before = await page.evaluate(() => window.lvunet.last?.area_px as number);
  await walk(page, "#threshold");
  for (let step = 0; step < 30; step++) await page.keyboard.press("ArrowRight");
  const after = await page.evaluate(() => window.lvunet.last?.area_px as number);
  expect(after).toBeLessThan(before);
  await walk(page, "#save-mask");
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
  expect(download.suggestedFilename()).toMatch(/-mask\.png$/);
  expect(await sentence(page)).toBe("");
});

/** Press Tab until an element has the focus, which must show. */
async function walk(page: Page, selector: string): Promise<void> {
  for (let step = 0; step < 40; step++) {
    await page.keyboard.press("Tab");
    if (await page.locator(selector).evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`Tab does not reach ${selector}`);
}
