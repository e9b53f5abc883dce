/** A newer page takes the place of the one that is kept: whole and by itself, or not at all. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { writeList } from "../../precache";
import { BUILT, choose, launch, neverCalm, offline, open, ready, type Server, segment, servePlainly } from "./harness";

const image = join(inject("drawn"), "polyp.png");
const SCRIPT = /index-[\w-]+\.js/;
let browser: Browser;
let context: BrowserContext;
let folder: string;
let server: Server;

beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "lvunet-page-"));
  cpSync(BUILT, folder, { recursive: true });
  release(1);
  server = await servePlainly(folder);
  context = await browser.newContext();
});
afterEach(async () => {
  await context.close();
  server.stop();
  rmSync(folder, { recursive: true });
});

const change = (file: string, edit: (text: string) => string): void =>
  writeFileSync(join(folder, file), edit(readFileSync(join(folder, file), "utf8")));

/** Changes page, script, style and a model as a build would: what is named by its content gets another name. */
function release(version: number): void {
  const [before] = SCRIPT.exec(readFileSync(join(folder, "index.html"), "utf8")) as RegExpExecArray;
  const after = `index-${version}.js`;
  renameSync(join(folder, "assets", before), join(folder, "assets", after));
  change(`assets/${after}`, (text) => `${text}\ndocument.documentElement.dataset.script = "${version}";\n`);
  change("index.html", (text) =>
    text.replace(SCRIPT, after).replace(/<html( data-page="\d")?/, `<html data-page="${version}"`),
  );
  for (const name of ["polyp", "skin"])
    change(`models/${name}.json`, (text) => text.replace(/"outlines": "(\d )?/, `"outlines": "${version} `));
  writeList(folder);
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) age(file, version);
}

/** The server tells versions of a file by whole seconds. */
function age(file: string, version: number): void {
  const then = Date.now() / 1000 + 60 * version;
  utimesSync(join(folder, file), then, then);
}

/** Of which version page, script and model are. */
const versions = (page: Page): Promise<(string | undefined)[]> =>
  page.evaluate(() => [
    document.documentElement.dataset.page,
    document.documentElement.dataset.script,
    /Outlines (\d)/.exec(document.getElementById("outlines")?.textContent ?? "")?.[1],
  ]);

const all = (version: number): string[] => Array(3).fill(String(version));

/** Waits until a newer version is kept, and waits itself. */
const waiting = (page: Page): Promise<void> =>
  page.evaluate(async () => {
    while (!(await navigator.serviceWorker.getRegistration())?.waiting)
      await new Promise((resolve) => setTimeout(resolve, 50));
  });

/** Which versions there are after a reload, once they are `expected` or it has had its time. */
async function reloaded(page: Page, expected: number): Promise<(string | undefined)[]> {
  await page.reload();
  for (let wait = 0; wait < 100; wait++) {
    const found = await versions(page).catch(() => []); // it may begin anew by itself
    if (found.every((version) => version === String(expected)) && found.length) break;
    await page.waitForTimeout(200);
  }
  await ready(page);
  return versions(page);
}

test("at the second reload it is there, the old one is gone, and it works without the server", async () => {
  const page = await open(context, server.url);
  await offline(page);
  expect(await versions(page)).toEqual(all(1));
  release(2);
  expect(await reloaded(page, 1)).toEqual(all(1));
  await waiting(page);
  expect(await reloaded(page, 2)).toEqual(all(2));
  await offline(page);
  const kept = await page.evaluate(async () =>
    Promise.all(
      (await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url)),
    ),
  );
  expect(kept.length, "caches").toBe(1);
  expect(kept.flat()).toContain(`${server.url}assets/index-2.js`);
  expect(kept.flat()).not.toContain(`${server.url}assets/index-1.js`);
  server.stop();
  expect(await reloaded(page, 2)).toEqual(all(2));
  expect((await segment(page, image)).area_px).toBeGreaterThan(0);
});

test("taking over without a network, a new version has the models of the old one", async () => {
  const page = await open(context, server.url);
  await offline(page);
  release(2);
  await reloaded(page, 1);
  await waiting(page);
  server.stop();
  expect(await reloaded(page, 2)).toEqual(all(2));
  expect((await segment(page, image)).area_px).toBeGreaterThan(0);
});

test("while another page of the old one is open both stay whole", async () => {
  const [first, second] = [await open(context, server.url), await open(context, server.url)];
  await offline(second);
  release(2);
  await reloaded(first, 1);
  await waiting(first);
  expect(await reloaded(first, 1)).toEqual(all(1));
  await choose(second, "skin");
  expect(await versions(second)).toEqual(all(1));
  expect((await segment(second, image)).model).toBe("skin");
  await second.close();
  expect(await reloaded(first, 2)).toEqual(all(2));
});

test("files of two versions are not mixed where one was not kept before the other came", async () => {
  await neverCalm(context);
  const page = await open(context, server.url);
  expect(await versions(page)).toEqual(all(1));
  release(2); // before the page has asked for its other models
  await page.locator("input[name=model][value=skin]").click({ force: true, noWaitAfter: true });
  await page.waitForSelector("html[data-engine=failed]");
  await page.reload();
  await ready(page);
  await waiting(page);
  expect(await reloaded(page, 2)).toEqual(all(2));
});

test("half of it, on a server that is not done, is not taken", async () => {
  const page = await open(context, server.url);
  await offline(page);
  const html = readFileSync(join(folder, "index.html"));
  release(2);
  const complete = readFileSync(join(folder, "index.html"));
  writeFileSync(join(folder, "index.html"), html);
  age("index.html", 1);
  const installed = page.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    const found = new Promise<ServiceWorkerState>((resolve) =>
      registration.addEventListener("updatefound", () =>
        registration.installing?.addEventListener("statechange", ({ target }) =>
          resolve((target as ServiceWorker).state),
        ),
      ),
    );
    await registration.update().catch(() => null);
    return found;
  });
  expect(await installed).toBe("redundant");
  expect(await reloaded(page, 1)).toEqual(all(1));
  writeFileSync(join(folder, "index.html"), complete);
  age("index.html", 2);
  await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
  await waiting(page);
  expect(await reloaded(page, 2)).toEqual(all(2));
});
