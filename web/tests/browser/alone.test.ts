/** Nothing leaves the machine, and nothing is needed from elsewhere: not even the server, once it has been there. */
import { join } from "node:path";
import type { Browser, Request } from "playwright-core";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { BIN, launch, offline, open, ready, segment, serveByLvunet, servePlainly } from "./harness";

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

test("the page forbids itself to speak to anyone else", async () => {
  const context = await browser.newContext();
  const page = await open(context, inject("url"));
  const refused = page.evaluate(() => fetch("https://example.org/", { method: "POST", body: "pixels" }));
  await expect(refused).rejects.toThrow(/Content Security Policy|Failed to fetch/);
  const policy = await page.getAttribute("meta[http-equiv=Content-Security-Policy]", "content");
  expect(policy).toContain("connect-src 'self'");
  await context.close();
});
