/** What goes wrong ends in a sentence, and the page goes on. */
import { join } from "node:path";
import type { Browser, BrowserContext, Page, Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { launch, open, picture, segment, sentence } from "./harness";

const [url, drawn] = [inject("url"), inject("drawn")];
const good = join(drawn, "polyp.png");
const nothing = { name: "empty.png", mimeType: "image/png", buffer: Buffer.alloc(0) };
const text = { name: "letter.txt", mimeType: "text/plain", buffer: Buffer.from("Dear colleague") };
const torn = { name: "torn.jpg", mimeType: "image/jpeg", buffer: Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16]) };
const tiff = { name: "scan.tiff", mimeType: "image/tiff", buffer: Buffer.from("II*\0\b\0\0\0\0\0\0\0") };

let browser: Browser;
let context: BrowserContext;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

/** The complaint, once there is one: a sentence that a person can do something with. */
async function complaint(page: Page): Promise<string> {
  await page.waitForSelector("#message:not(:empty):visible");
  const said = await sentence(page);
  expect(said).toMatch(/^([\w.-]+: )?[A-Z].{15,300}[.!]$/s);
  expect(said).not.toMatch(/undefined|null|NaN|\[object|Error:|ort-wasm|at https?:|0x|_/);
  return said;
}

describe("a file", () => {
  let page: Page;
  beforeAll(async () => {
    page = await open(browser, url);
  });
  test.each([
    ["that is no image", text, /image/i],
    ["that is empty", nothing, /empty/i],
    ["that ends too soon", torn, /image|read|damaged/i],
    ["of a kind that browsers do not read", tiff, /TIFF|PNG|JPEG/i],
    ["of 100 megapixels", join(drawn, "huge.png"), /megapixel|large|big/i],
    ["in DICOM that ends too soon", join(drawn, "truncated.dcm"), /DICOM/],
    ["of a DICOM header alone", join(drawn, "header.dcm"), /DICOM/],
    ["in DICOM, compressed as JPEG 2000", join(drawn, "jpeg2000.dcm"), /JPEG 2000|compress|syntax/i],
    ["in DICOM without an image", join(drawn, "report.dcm"), /DICOM|image/],
  ])("%s is named, and the next one is segmented", async (what, file, words) => {
    await page.setInputFiles("#file", file);
    expect(await complaint(page)).toMatch(words);
    await picture(page, `mistake ${what}`);
    expect((await segment(page, good)).area_px).toBeGreaterThan(0);
    expect(await sentence(page)).toBe("");
  });
});

describe.each([1, 2])("out of memory, with threads: %i,", (threads) => {
  let small: Browser;
  afterEach(() => small.close());
  /** The page where WebAssembly gets no more than so many MB, as on a phone. */
  const page = async (megabytes: number): Promise<Page> => {
    small = await launch(`--js-flags=--wasm-max-mem-pages=${megabytes * 16}`);
    const opened = await small.newPage();
    await opened.goto(`${url}?model=polyp&threads=${threads}`);
    return opened;
  };

  test("an image of nearly 40 megapixels ends in a sentence, and the next is segmented", async () => {
    const opened = await page(256);
    await opened.waitForSelector("html[data-engine=ready]");
    await opened.setInputFiles("#file", join(drawn, "large.png"));
    expect(await complaint(opened)).toMatch(/out of memory.*smaller image/);
    await picture(opened, "mistake out of memory");
    await opened.waitForSelector("html[data-engine=ready]");
    expect((await segment(opened, good)).area_px).toBeGreaterThan(0);
    expect(await sentence(opened)).toBe("");
  });

  test("a model that finds no room at all says so", async () => {
    const opened = await page(8);
    expect(await complaint(opened)).toMatch(/too little memory for the model/);
    expect(await opened.getAttribute("html", "data-engine")).toBe("failed");
  });
});

describe("without", () => {
  beforeEach(async () => {
    context = await browser.newContext({ serviceWorkers: "block" });
  });
  afterEach(() => context.close());
  const answer = async (pattern: string, change: (route: Route) => Promise<void>): Promise<Page> => {
    await context.route((address) => address.pathname.includes(pattern), change);
    const page = await context.newPage();
    await page.goto(url);
    return page;
  };

  test("its engine the page says so", async () => {
    const page = await answer("wasm", (route) => route.abort());
    await complaint(page);
    await picture(page, "mistake no engine");
    expect(await page.getAttribute("html", "data-engine")).toBe("failed");
  });

  test.each([
    [2, "ready"],
    [3, "failed"],
  ])("the file of its worker the first %i times the page is %s", async (times, state) => {
    let missed = 0;
    const page = await answer("segment.worker", (route) => (missed++ < times ? route.abort() : route.continue()));
    await page.waitForSelector(`html[data-engine=${state}]`);
    if (state === "failed") expect(await complaint(page)).toMatch(/could not be loaded/);
    else expect((await segment(page, good)).area_px).toBeGreaterThan(0);
  });

  test("a sound model the page says so, and another model still works", async () => {
    const page = await answer("polyp.onnx", async (route) => {
      const body = await (await route.fetch()).body();
      body.writeUInt8(body.readUInt8(500_000) ^ 1, 500_000);
      await route.fulfill({ body });
    });
    await page.goto(`${url}?model=polyp`);
    expect(await complaint(page)).toMatch(/model/i);
    await page.locator("input[name=model][value=skin]").click({ force: true });
    await page.waitForSelector("html[data-engine=ready]");
    expect((await segment(page, good)).model).toBe("skin");
  });

  test("the network at the first visit the page says so", async () => {
    const page = await answer(".onnx", (route) => route.abort("internetdisconnected"));
    await complaint(page);
  });

  test.each(["WebAssembly", "Worker", "createImageBitmap", "OffscreenCanvas"])(
    "%s, in an old browser, the page says so or does without",
    async (feature) => {
      await context.addInitScript(`delete globalThis.${feature}`);
      const page = await context.newPage();
      await page.goto(url);
      await page.waitForSelector("#message:not(:empty):visible, html[data-engine=ready]");
      if ((await page.getAttribute("html", "data-engine")) === "ready")
        expect((await segment(page, good)).area_px).toBeGreaterThan(0);
      else expect(await complaint(page)).toMatch(/browser/i);
    },
  );

  test("scripts there is a sentence", async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false });
    const page = await plain.newPage();
    await page.goto(url);
    expect(await page.locator("noscript").innerText()).toMatch(/JavaScript/);
    await plain.close();
  });
});
