/** Several images at once, large ones, long names: what the page says meanwhile, and where the focus is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { launch, open, segment, sentence, slowly } from "./harness";

const drawn = (name: string): string => join(inject("drawn"), name);
const letter = { name: "letter.txt", mimeType: "text/plain", buffer: Buffer.from("Dear colleague") };
let browser: Browser;
let page: Page;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());
beforeEach(async () => {
  page = await open(browser, inject("url"));
});
afterEach(() => page.context().close());

/** Waits until an image is outlined. */
const shown = (name: string): Promise<unknown> =>
  page.waitForFunction((image) => window.lvunet.last?.image === image, name, { polling: 20 });
const place = (): Promise<string | null> => page.textContent("#place");
const focused = async (): Promise<string | undefined> => {
  await page.waitForTimeout(300); // in which it may be lost again
  return page.evaluate(() => document.activeElement?.id);
};

test("of several files the first is outlined, and one steps through the others, round and round", async () => {
  await page.setInputFiles("#file", ["polyp.png", "polyp-odd.jpg", "skin.png"].map(drawn));
  await shown("polyp");
  expect(await place()).toBe("1 of 3");
  await page.click("#step-on");
  await shown("polyp-odd");
  expect([await place(), await page.textContent("#caption-name")]).toEqual(["2 of 3", "polyp-odd.jpg"]);
  await page.focus("#file");
  await page.keyboard.press("ArrowRight");
  await shown("skin");
  await page.keyboard.press("ArrowRight");
  await shown("polyp");
  await page.keyboard.press("ArrowLeft");
  await shown("skin");
  expect(await place()).toBe("3 of 3");
});

test("arrow keys stay with a slider that has the focus", async () => {
  await page.setInputFiles("#file", ["polyp.png", "skin.png"].map(drawn));
  await shown("polyp");
  await page.focus("#threshold");
  await page.keyboard.press("ArrowRight");
  expect(await place()).toBe("1 of 2");
  expect(await page.inputValue("#threshold")).toBe("51");
});

test("of several files one that cannot be read is named, and does not end the walk", async () => {
  await page.setInputFiles("#file", [
    letter,
    { name: "polyp.png", mimeType: "image/png", buffer: readFileSync(drawn("polyp.png")) },
  ]);
  await page.waitForSelector("#message:not(:empty):visible");
  expect(await sentence(page)).toMatch(/^letter\.txt: /);
  expect(await place()).toBe("1 of 2");
  await page.click("#step-on");
  await shown("polyp");
  expect(await sentence(page)).toBe("");
  await page.setInputFiles("#file", letter);
  expect(await page.isVisible("#step-on"), "of one there is nothing to step to").toBe(false);
});

test("closing forgets all of them", async () => {
  await page.setInputFiles("#file", ["polyp.png", "skin.png"].map(drawn));
  await shown("polyp");
  await page.click("#close");
  expect(await page.isVisible("#steps")).toBe(false);
});

test("a file that takes its time is named while it is read", async () => {
  await page.evaluate(() => {
    const said: string[] = [];
    Object.assign(window, { said });
    const busy = document.getElementById("busy") as HTMLElement;
    new MutationObserver(() => said.push(busy.textContent ?? "")).observe(busy, { childList: true });
  });
  await slowly(page, 1000);
  await segment(page, drawn("polyp.png"));
  expect(await page.evaluate(() => (window as unknown as { said: string[] }).said)).toEqual([
    "Reading polyp.png",
    "Outlining",
    "",
  ]);
});

test("after a mistake the focus is where another image is chosen", async () => {
  expect(await focused()).toBe("");
  await page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(["Dear"], "letter.txt", { type: "text/plain" }));
    document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
  });
  await page.waitForSelector("#message:not(:empty):visible");
  expect(await focused()).toBe("file");
});

test("what had the focus and is gone leaves it to what comes next", async () => {
  await page.focus("#example");
  await page.keyboard.press("Enter");
  await page.waitForSelector("html[data-state=result]");
  expect(await focused()).toBe("file");
  await page.focus("#close");
  await page.keyboard.press("Enter");
  expect(await focused()).toBe("file");
});

test("a long name is cut, its size is not", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  const name = `${"a-very-long-name-of-a-file-".repeat(6)}.jpg`;
  await page.setInputFiles("#file", { name, mimeType: "image/jpeg", buffer: readFileSync(drawn("polyp-odd.jpg")) });
  await page.waitForSelector("html[data-state=result]");
  const cut = (id: string): Promise<boolean> =>
    page.locator(id).evaluate((element) => element.scrollWidth > element.clientWidth + 1);
  expect([await cut("#caption-name"), await cut("#caption")]).toEqual([true, false]);
  expect(await page.textContent("#caption-more")).toBe("517\u00A0×\u00A0333");
  const [size, button] = [
    await page.locator("#caption-more").boundingBox(),
    await page.locator("#again").boundingBox(),
  ];
  expect((size?.x ?? 0) + (size?.width ?? 0)).toBeLessThanOrEqual(button?.x ?? 0);
  expect(await sentence(page)).toBe("");
});
