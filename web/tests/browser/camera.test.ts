/** A camera: a steady rate, frames dropped and not queued, memory that stays. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterEach, describe, expect, inject, test } from "vitest";
import type { Live } from "../../src/camera";
import { launch, open, picture, segment, sentence, slowly } from "./harness";

const FILM = `--use-file-for-fake-video-capture=${join(inject("drawn"), "camera.y4m")}`;
const DEVICE = "--use-fake-device-for-media-stream";
const LEAK = 8e6; // bytes: one probability of a frame, 0.8 MB, kept every hundred frames
const SLACK = 100e6; // bytes that the browser's allocator holds more or less, once it has its size
const good = join(inject("drawn"), "polyp.png");

let browser: Browser;
afterEach(() => browser.close());

async function live(page: Page, frames: number): Promise<Live> {
  await page.waitForFunction((least) => (window.lvunet.camera?.frames ?? 0) >= least, frames, { timeout: 240_000 });
  return page.evaluate(() => window.lvunet.camera as Live);
}

/** Bytes that live in the page and its workers; the browser answers when it has swept, which takes up to a minute. */
const alive = (page: Page): Promise<number> =>
  page.evaluate(async () => {
    const { measureUserAgentSpecificMemory } = performance as unknown as Record<
      string,
      () => Promise<{ bytes: number }>
    >;
    return (await measureUserAgentSpecificMemory?.call(performance))?.bytes ?? 0;
  });

/** Bytes that the page's process holds, whatever for. */
async function held(): Promise<number> {
  const devtools = await browser.newBrowserCDPSession();
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  const pages = processInfo.filter(({ type }) => type === "renderer");
  return Math.max(...pages.map(({ id }) => Number(readFileSync(`/proc/${id}/statm`, "utf8").split(" ")[1]) * 4096));
}

/** The longest time that the page did not answer, of sixty frames of the screen. */
const frozen = (page: Page): Promise<number> =>
  page.evaluate(async () => {
    let [longest, last] = [0, performance.now()];
    for (let turn = 0; turn < 60; turn++) {
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      [longest, last] = [Math.max(longest, now - last), now];
    }
    return longest;
  });

/** The allocator has its size after 400 frames: 0.8 GB with Chromium 156, 2026-11-23. */
async function afterFrames(page: Page, frames: number): Promise<number> {
  await live(page, frames);
  return held();
}

async function started(): Promise<Page> {
  browser = await launch(DEVICE, FILM, "--use-fake-ui-for-media-stream");
  const context = await browser.newContext({ permissions: ["camera"] });
  const page = await open(context, `${inject("url")}?model=polyp`);
  await page.click("#camera");
  return page;
}

describe("a camera", () => {
  test("shows its rate, drops the frames that it has no time for, and never freezes the page", async () => {
    const page = await started();
    await slowly(page, 100); // three frames of the film
    const early = await live(page, 40);
    const late = await live(page, 120);
    console.log(late);
    await picture(page, "camera");
    expect(await page.textContent("#fps")).toMatch(/^\d+ fps/);
    expect(late.dropped).toBeGreaterThan(0);
    expect(late.latency_ms, "of frames that wait in a queue it would grow").toBeLessThan(3 * early.latency_ms);
    expect(await frozen(page)).toBeLessThan(250);
    await page.click("#camera-stop");
    await page.waitForSelector("html:not([data-state=camera])");
    expect((await segment(page, good)).area_px).toBeGreaterThan(0);
  });

  test("can be held: the frame becomes the image", async () => {
    const page = await started();
    await live(page, 5);
    await page.click("#hold");
    await page.waitForSelector("html[data-state=result]");
    expect(await sentence(page)).toBe("");
    const held = await page.evaluate(() => window.lvunet.last);
    expect([held?.image.slice(0, 7), held?.width, held?.height]).toEqual(["camera-", 640, 480]);
  });

  test("gives way to a file that is opened while it runs", async () => {
    const page = await started();
    await live(page, 5);
    expect((await segment(page, good)).area_px).toBeGreaterThan(0);
    expect(await sentence(page)).toBe("");
  });

  test("that is asked for twice is on once, and off when it is stopped", async () => {
    browser = await launch(DEVICE, FILM, "--use-fake-ui-for-media-stream");
    const context = await browser.newContext({ permissions: ["camera"] });
    await context.addInitScript(() => {
      const streams: MediaStream[] = [];
      Object.assign(window, { streams });
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await ask(wanted);
        streams.push(stream);
        return stream;
      };
    });
    const page = await open(context, inject("url"));
    await page.evaluate(() => {
      for (let turn = 0; turn < 2; turn++) document.getElementById("camera")?.click();
    });
    await live(page, 3);
    expect(await sentence(page)).toBe("");
    const on = () =>
      page.evaluate(
        () =>
          (window as unknown as { streams: MediaStream[] }).streams
            .flatMap((stream) => stream.getTracks())
            .filter((track) => track.readyState === "live").length,
      );
    expect(await on()).toBe(1);
    await page.click("#camera-stop");
    expect(await on()).toBe(0);
  });

  test.runIf(process.env.LVUNET_SLOW)(
    "has the memory after a thousand frames that it had before",
    async () => {
      const page = await started();
      await live(page, 50);
      const before = { alive: await alive(page), held: await afterFrames(page, 500) };
      await live(page, 1500);
      const after = { alive: await alive(page), held: await held() };
      console.log(before, after);
      expect(before.alive).toBeGreaterThan(10e6);
      expect(after.alive - before.alive).toBeLessThan(LEAK);
      expect(after.held - before.held).toBeLessThan(SLACK);
    },
    600_000,
  );

  test.each([
    ["that is denied", [DEVICE, "--deny-permission-prompts"], /permission|allow|denied/i],
    ["that is not there", ["--use-fake-ui-for-media-stream"], /no camera|not found|connect/i],
  ])("%s ends in a sentence, and files are still segmented", async (what, flags, words) => {
    browser = await launch(...flags);
    const page = await open(browser, inject("url"));
    await page.click("#camera");
    await page.waitForSelector("#message:not(:empty):visible");
    expect(await sentence(page)).toMatch(words);
    await picture(page, `camera ${what}`);
    expect((await segment(page, good)).area_px).toBeGreaterThan(0);
  });
});
