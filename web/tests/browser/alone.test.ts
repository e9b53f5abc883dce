/** Nothing leaves the machine, and nothing is needed from elsewhere: not even the server, once it has been there. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Browser, BrowserContext, Page, Request } from "playwright-core";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { BIN, launch, offline, open, ready, segment, sentence, serveByLvunet, servePlainly } from "./harness";

const image = join(inject("drawn"), "polyp.png");
let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

test("every request goes to the page's own origin and takes nothing along; without the server it goes on", async () => {
  const server = await serveByLvunet(BIN);
  const context = await browser.newContext();
  const asked: Request[] = [];
  context.on("request", (request) => asked.push(request)); // those of workers and of the service worker, too
  const page = await open(context, `${server.url}?model=polyp`);
  await offline(page);
  const before = await segment(page, image);
  server.stop();
  await page.reload();
  await ready(page);
  const after = await segment(page, image);
  expect(after.probability).toEqual(before.probability);
  expect(asked.length).toBeGreaterThan(3);
  expect(asked.filter((request) => request.serviceWorker() !== null).length).toBeGreaterThan(3);
  const local = (url: string): boolean =>
    url.startsWith(server.url) || url.startsWith("blob:") || url.startsWith("data:");
  expect(asked.map((request) => request.url()).filter((url) => !local(url))).toEqual([]);
  expect(asked.filter((request) => request.method() !== "GET" || request.postData() !== null)).toEqual([]);
  await context.close();
});

test.each(["skin", "breast-ultrasound"])("every model is there without the server: %s", async (model) => {
  const server = await servePlainly();
  const context = await browser.newContext();
  await offline(await open(context, server.url));
  server.stop();
  const page = await open(context, `${server.url}?model=${model}`);
  expect((await segment(page, image)).model).toBe(model);
  await context.close();
});

test.each([
  ["a server that says so", () => serveByLvunet(BIN)],
  ["any static server, by the service worker", () => servePlainly()],
])("threads are allowed by %s", async (_, serve) => {
  const server = await serve();
  const context = await browser.newContext();
  const page = await open(context, server.url);
  await page.waitForFunction(() => crossOriginIsolated);
  await ready(page);
  expect(Number(await page.getAttribute("html", "data-threads"))).toBeGreaterThan(1);
  expect((await segment(page, image)).area_px).toBeGreaterThan(0);
  await context.close();
  server.stop();
});

/** A server of somebody else, which takes whatever it is sent; and how often it was asked. */
async function stranger(): Promise<{ url: string; asked: () => number; stop: () => void }> {
  let times = 0;
  const server = createServer((_, response) => {
    times++;
    response.writeHead(200, { "Access-Control-Allow-Origin": "*" }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, asked: () => times, stop: () => server.close() };
}

/** Sends pixels away from the page, from its worker, and from its service worker; how many were refused. */
async function betray(context: BrowserContext, page: Page, url: string): Promise<number> {
  const send = (where: string) =>
    fetch(where, { method: "POST", body: "pixels", mode: "no-cors" }).then(
      () => 0,
      () => 1,
    );
  const [first] = page.workers().filter((worker) => worker.url().includes("segment.worker"));
  const [keeper] = context.serviceWorkers();
  const refused = [await page.evaluate(send, url), await first.evaluate(send, url), await keeper.evaluate(send, url)];
  return refused.reduce((sum, one) => sum + one, 0);
}

test.each([
  ["sent by its server", () => serveByLvunet(BIN), 0],
  ["kept by its service worker, whose own file a plain server sends without it", () => servePlainly(), 1],
])("page and workers are forbidden to speak to anyone else, by a policy %s", async (_, serve, heard) => {
  const [server, other] = [await serve(), await stranger()];
  const context = await browser.newContext();
  const page = await open(context, server.url);
  await offline(page);
  await page.reload();
  await ready(page);
  expect(await betray(context, page, other.url)).toBe(3 - heard);
  expect(other.asked()).toBe(heard);
  await context.close();
  server.stop();
  other.stop();
});

test("a model that arrived damaged once is fetched anew on reload", async () => {
  const server = await servePlainly();
  const context = await browser.newContext();
  let spoilt = true;
  await context.route(/polyp\.onnx/, async (route) => {
    const body = await (await route.fetch()).body();
    if (spoilt) body.writeUInt8(body.readUInt8(500_000) ^ 1, 500_000);
    await route.fulfill({ body });
  });
  const page = await context.newPage();
  await page.goto(server.url);
  await page.waitForSelector("html[data-engine=failed]");
  expect(await sentence(page)).toMatch(/damaged/);
  spoilt = false;
  await page.reload();
  await ready(page);
  expect((await segment(page, image)).area_px).toBeGreaterThan(0);
  await context.close();
  server.stop();
});

test("of models chosen one after another the last one outlines, however slowly the first arrives", async () => {
  const server = await servePlainly();
  const context = await browser.newContext({ serviceWorkers: "block" });
  const page = await open(context, `${server.url}?model=polyp`);
  const before = await segment(page, image);
  await context.route(/skin\.json/, async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await route.continue();
  });
  for (const model of ["skin", "polyp"])
    await page.locator(`input[name=model][value=${model}]`).click({ force: true, noWaitAfter: true });
  await page.waitForTimeout(2500);
  await ready(page);
  await page.waitForSelector("html[data-state=result]");
  const after = await segment(page, image);
  expect([after.model, after.sha256, after.area_px]).toEqual([before.model, before.sha256, before.area_px]);
  await context.close();
  server.stop();
});

test("what is saved is of the threshold that is shown", async () => {
  const page = await open(await browser.newContext({ acceptDownloads: true }), inject("url"));
  await segment(page, image);
  await page.focus("#threshold");
  for (let step = 0; step < 15; step++) await page.keyboard.press("ArrowLeft", { delay: 0 });
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save-json")]);
  const saved = JSON.parse(readFileSync(await download.path(), "utf8"));
  expect(saved.threshold.toFixed(2)).toBe(await page.textContent("#threshold-value"));
  await page.context().close();
});
