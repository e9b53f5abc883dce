/** Kept on the device: what may be installed, and what the page says where there is no room for it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, CDPSession, Page } from "playwright-core";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import * as harness from "./harness";
import { choose, offline, ready, type Server, segment, sentence } from "./harness";

const image = join(inject("drawn"), "polyp.png");
let server: Server;
beforeEach(async () => {
  server = await harness.servePlainly();
});
afterEach(() => server.stop());

describe("without room", () => {
  let browser: Browser;
  let page: Page;
  let devtools: CDPSession;
  beforeEach(async () => {
    browser = await harness.launch();
    page = await (await browser.newContext()).newPage();
    devtools = await page.context().newCDPSession(page);
  });
  afterEach(() => browser.close());

  /** Gives the page room for so many bytes, or what there is. */
  const allow = (quotaSize?: number): Promise<unknown> =>
    devtools.send("Storage.overrideQuotaForOrigin", {
      origin: new URL(server.url).origin,
      ...(quotaSize && { quotaSize }),
    });

  test("at the first visit it works online, says so, keeps no half of it, and all of it once there is room", async () => {
    await allow(1e6);
    await page.goto(server.url);
    await ready(page);
    await page.waitForSelector("html[data-offline=no]");
    expect(await page.textContent("#offline")).toMatch(/^Works online only: this device has no room .*\.$/);
    await harness.picture(page, "no room");
    expect((await segment(page, image)).area_px).toBeGreaterThan(0);
    expect(await page.evaluate(() => caches.keys())).toEqual([]);
    await allow();
    await page.reload();
    await offline(page);
    server.stop();
    await page.reload();
    await ready(page);
    expect((await segment(page, image)).area_px).toBeGreaterThan(0);
  });

  test("for the other models it says so, uses them online, and goes on with the first one offline", async () => {
    await allow(6e6);
    await page.goto(server.url);
    await ready(page);
    await page.waitForSelector("html[data-offline=no]");
    expect(await page.textContent("#offline")).toMatch(/no room/);
    await allow(1e6);
    await choose(page, "breast-ultrasound");
    expect((await segment(page, image)).model).toBe("breast-ultrasound");
    server.stop();
    await page.reload();
    await ready(page);
    expect((await segment(page, image)).model).toBe("polyp");
    await page.locator("input[name=model][value=breast-ultrasound]").click({ force: true, noWaitAfter: true });
    await page.waitForSelector("#message:not(:empty):visible");
    expect(await sentence(page)).toMatch(/Connect to the network/);
  });
});

interface Icon {
  src: string;
  sizes: string;
  type: string;
}

test("Chromium finds nothing that forbids to install it, and its icons are as large as the manifest says", async () => {
  const profile = mkdtempSync(join(tmpdir(), "lvunet-profile-"));
  const context = await harness.launchWithProfile(profile); // a private window installs nothing
  const page = await harness.open(context, server.url);
  await offline(page);
  const devtools = await context.newCDPSession(page);
  const { installabilityErrors } = await devtools.send("Page.getInstallabilityErrors");
  expect(installabilityErrors).toEqual([]);
  const { data, errors } = await devtools.send("Page.getAppManifest");
  expect(errors).toEqual([]);
  const icons = (JSON.parse(data as string).icons as Icon[]).filter(({ type }) => type === "image/png");
  const sizes = await page.evaluate(
    (sources) =>
      Promise.all(
        sources.map(async (source) => {
          const { width, height } = await createImageBitmap(await (await fetch(source)).blob());
          return `${width}x${height}`;
        }),
      ),
    icons.map(({ src }) => src),
  );
  expect(sizes).toEqual(icons.map((icon) => icon.sizes));
  await context.close();
  rmSync(profile, { recursive: true, force: true });
});
