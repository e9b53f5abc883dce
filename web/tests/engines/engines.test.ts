/** The page in the engine of Firefox, and in that of Safari and of every browser on iOS: it does what it does in Chromium. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import {
  BUILT,
  cases,
  expected,
  type Found,
  largest,
  OUT,
  packed,
  ROOT,
  servePlainly,
  unpacked,
} from "../browser/harness";
import { consoleOfWebkit, type Engine, firefox, Page, webkit } from "./webdriver";

/** Of a probability, as asked of the page. */
const SAME = 1e-3;
/** Half transparent pixels are rounded up by Firefox and down by WebKit, by one level: 0.047 here (2026-11-23). */
const TRANSPARENT = 0.06;
const IPHONE =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

const [url, drawn] = [inject("url"), inject("drawn")];
const polyp = join(drawn, "polyp.png");
const known = [...cases(drawn, "cases.json"), ...cases(drawn, "dicoms.json")];
const records: Record<string, unknown>[] = [];

const ready = (): boolean => document.documentElement.dataset.engine === "ready";
const kept = (): boolean => document.documentElement.dataset.offline === "ready";
const threads = (): number => Number(document.documentElement.dataset.threads);
const sentence = (): string => document.querySelector("#message")?.textContent?.trim() ?? "";
const middle = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;

async function open(engine: Engine, address: string): Promise<Page> {
  const page = new Page(engine);
  await engine.goto(address);
  await page.until(ready);
  return page;
}

/** What the page finds in a file. */
async function segment(page: Page, file: string): Promise<Found> {
  await page.run(() => {
    window.lvunet.last = null;
  });
  await page.choose(file);
  await page.until(() => window.lvunet.last ?? document.querySelector("#message")?.textContent);
  expect(await page.run(sentence)).toBe("");
  return unpacked(await page.run(packed));
}

const click = (page: Page, selector: string): Promise<void> =>
  page.run((which) => document.querySelector<HTMLElement>(which)?.click(), selector);

async function choose(page: Page, model: string): Promise<void> {
  await click(page, `input[name=model][value="${model}"]`);
  await page.until((name) => (window.lvunet.last?.model ?? name) === name, model);
  await page.until(ready);
}

describe.each([
  ["Firefox", firefox],
  ["WebKit", webkit],
])("in %s", (name, launch) => {
  const record: Record<string, unknown> = {};
  let engine: Engine;
  let page: Page;
  beforeAll(async () => {
    engine = await launch();
    Object.assign(record, { engine: engine.version, files: 0, largest_difference: 0 });
    records.push(record);
    page = await open(engine, url);
  });
  afterAll(() => engine.stop());

  test("the page is isolated, and has threads", async () => {
    expect(await page.run(() => crossOriginIsolated)).toBe(true);
    record.threads = await page.run(threads);
    expect(record.threads).toBeGreaterThan(1);
  });

  test.each(known)("$file is segmented by $model as in Python", async ({ file, model, width, height }) => {
    await choose(page, model);
    const found = await segment(page, join(drawn, file));
    expect([found.width, found.height]).toEqual([width, height]);
    const difference = largest(found.probability, expected(drawn, file));
    if (file === "alpha.png") return expect(difference).toBeLessThan(TRANSPARENT);
    expect(difference).toBeLessThan(SAME);
    record.files = Number(record.files) + 1;
    record.largest_difference = Math.max(Number(record.largest_difference), difference);
  });

  test.each([
    ["that is no image", "cases.json", /not an image/],
    ["of 100 megapixels", "huge.png", /40 megapixels/],
    ["in DICOM that ends too soon", "truncated.dcm", /damaged or incomplete/],
    ["of a DICOM header alone", "header.dcm", /DICOM/],
    ["in DICOM, compressed as JPEG 2000", "jpeg2000.dcm", /JPEG 2000/],
  ])("a file %s is named, and the next one is segmented", async (_, file, words) => {
    await page.choose(join(drawn, file));
    await page.until(sentence);
    expect(await page.run(sentence)).toMatch(words);
    expect((await segment(page, polyp)).area_px).toBeGreaterThan(0);
  });

  test("the mask that is saved is a PNG of what was found", async () => {
    await choose(page, "polyp");
    const { area_px } = await segment(page, polyp);
    await page.run(() => {
      const make = URL.createObjectURL;
      URL.createObjectURL = (blob) => {
        Object.assign(window, { saved: blob });
        return make(blob);
      };
    });
    await click(page, "#save-mask");
    await page.until(() => "saved" in window);
    const white = await page.run(async () => {
      const bitmap = await createImageBitmap((window as unknown as { saved: Blob }).saved);
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext(
        "2d",
      ) as OffscreenCanvasRenderingContext2D;
      context.drawImage(bitmap, 0, 0);
      const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
      return data.filter((value, at) => at % 4 === 0 && value === 255).length;
    });
    expect(white).toBe(area_px);
  });

  test("any static server will do, and none is needed after the first visit", async () => {
    const server = await servePlainly();
    const elsewhere = await open(engine, server.url);
    await elsewhere.until(kept);
    expect(await elsewhere.run(() => crossOriginIsolated)).toBe(true);
    const before = await segment(elsewhere, polyp);
    server.stop();
    await expect.poll(() => fetch(server.url).then(String, () => "gone")).toBe("gone");
    await open(engine, `${server.url}?model=polyp`);
    expect((await segment(elsewhere, polyp)).probability).toEqual(before.probability);
    record.offline = true;
    page = await open(engine, url);
  });

  test.each([1, 2])("with %i threads it is as fast as the record says", async (count) => {
    page = await open(engine, `${url}?model=polyp&threads=${count}`);
    expect(await page.run(threads)).toBe(count);
    const times = [];
    for (let turn = 0; turn < 25; turn++) times.push((await segment(page, join(drawn, "square.png"))).timings_ms.run);
    record[`fps_${count}`] = Math.round(1e4 / middle(times.slice(5))) / 10;
    expect(record[`fps_${count}`]).toBeGreaterThan(1);
  });

  test.each([
    ["desktop", 1280, 800],
    ["phone", 390, 844],
  ])("on a %s nothing is to scroll sideways, in any state", async (screen, width, height) => {
    await engine.resize(width, height);
    page = await open(engine, url);
    for (const theme of ["light", "dark"]) {
      await page.run((chosen) => {
        document.documentElement.dataset.theme = chosen;
      }, theme);
      const look = async (state: string): Promise<void> => {
        await page.run(() => new Promise((resolve) => setTimeout(resolve, 500)));
        await page.picture(join(OUT, `${name} ${screen} ${theme} ${state}.png`));
        expect(await page.run(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
      };
      await look("empty");
      await page.choose(join(drawn, "cases.json"));
      await page.until(sentence);
      await look("error");
      await page.choose(polyp, join(drawn, "polyp-odd.jpg"));
      await page.until(() => document.documentElement.dataset.state === "result");
      await look("result");
      await click(page, "input[name=view][value=probability]");
      await look("probability");
      await click(page, "input[name=view][value=overlay]");
      await click(page, "#close");
      await click(page, "summary");
      await look("about");
      await click(page, "summary");
    }
  });

  test("its console has nothing on the page; a mistake, and what the policy forbids, it would have", async () => {
    expect(await engine.complaints()).toEqual([]);
    const refused = await page.run(async () => {
      const script = document.createElement("script");
      script.textContent = "document.title = 'stranger'";
      document.body.append(script);
      console.error("said");
      setTimeout(() => {
        throw new Error("thrown");
      });
      return fetch("http://127.0.0.1:1/").then(String, () => document.title);
    });
    expect(refused).toBe("LV-UNet");
    const complaints = (await engine.complaints()).join("\n");
    for (const words of [/script-src/, /connect-src/, /said/, /thrown/]) expect(complaints).toMatch(words);
  });

  test("as on an iPhone it takes one thread, and a camera", async () => {
    const phone = await launch({ camera: true, agent: IPHONE });
    try {
      const there = await open(phone, `${url}?model=polyp`);
      expect(await there.run(threads)).toBe(1);
      const found = await segment(there, polyp);
      expect(largest(found.probability, expected(drawn, "polyp.png"))).toBeLessThan(SAME);
      await click(there, "#camera");
      await there.until(() => (window.lvunet.camera?.frames ?? 0) > 40);
      record.camera_fps = Math.round(await there.run(() => window.lvunet.camera?.fps ?? 0));
      await there.picture(join(OUT, `${name} camera.png`));
      await click(there, "#camera-stop");
      expect(await there.run(sentence)).toBe("");
      expect(await phone.complaints()).toEqual([]);
    } finally {
      await phone.stop();
    }
  });
});

test("WebKit's console has nothing on a first visit, from its first byte to its last file", async () => {
  const { url: plain, all, stop } = await watched("models/skin.onnx");
  const said = await consoleOfWebkit(plain, () => all.then(settled));
  expect(said.filter((line) => !line.includes("directive 'manifest-src'"))).toEqual([]); // Safari knows it, GTK does not
  stop();
  const mistaken = join(drawn, "mistaken.html");
  writeFileSync(mistaken, "<script>console.error('said')</script>");
  expect((await consoleOfWebkit(`file://${mistaken}`, settled)).join("\n")).toMatch(/ERROR said/);
});

const settled = (): Promise<void> => sleep(8000);
const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".css": "text/css",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".svg": "image/svg+xml",
};

/** Serves the page without a header but the type; `all` comes when its last file went out. */
async function watched(last: string): Promise<{ url: string; all: Promise<void>; stop: () => void }> {
  const server = createServer();
  const all = new Promise<void>((resolve) => {
    server.on("request", ({ url: path }, response) => {
      const file = new URL(path as string, url).pathname.slice(1) || "index.html";
      response.setHeader("Content-Type", TYPES[extname(file)] ?? "application/octet-stream");
      response.end(readFileSync(join(BUILT, file)));
      if (file === last) resolve();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, all, stop: () => server.close() };
}

/** Writes what was measured, where nothing of it is missing. */
afterAll(() => {
  if (records.length < 2 || records.some(({ camera_fps }) => !camera_fps)) return;
  const commit = execFileSync("git", ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"], { cwd: ROOT });
  const date = new Date().toISOString().slice(0, 10);
  const whole = { engines: records, commit: String(commit).trim(), date };
  writeFileSync(join(ROOT, "results", "web-engines.json"), `${JSON.stringify(whole, null, 1)}\n`);
});
