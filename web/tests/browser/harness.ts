/** What every browser test needs: a server, Chromium, the page when it is ready, and what it found. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import type { Report } from "../../src/report";

export { launch, launchWithProfile } from "./chromium.mjs";

export const ROOT = resolve(import.meta.dirname, "../../..");
export const BIN = join(ROOT, ".venv", "bin");
export const PYTHON = join(BIN, "python");
export const BUILT = join(ROOT, "src", "lvunet", "page");
export const OUT = join(import.meta.dirname, "out");
export interface Server {
  url: string;
  stop: () => void;
}

/** What the page says of its last image, and its probability. */
export type Found = Report & { probability: Float32Array };

/** What Python finds in a file. */
export interface Case
  extends Pick<Found, "model" | "width" | "height" | "threshold" | "area_px" | "diameter_px" | "expected_dice"> {
  file: string;
  /** Whether a browser decodes the very pixels. */
  exact: boolean;
}

/** The cases of a list, cases.json or dicoms.json, that was drawn into a folder. */
export const cases = (folder: string, list: string): Case[] => JSON.parse(readFileSync(join(folder, list), "utf8"));

/** The probability that Python finds in a file. */
export const expected = (folder: string, file: string): Float32Array =>
  new Float32Array(new Uint8Array(readFileSync(join(folder, `${file}.f32`))).buffer);

async function started(command: ChildProcess, address: RegExp): Promise<Server> {
  const stop = (): void => void command.kill();
  for await (const line of createInterface(command.stdout as NodeJS.ReadableStream)) {
    const url = address.exec(line)?.[0];
    if (url) return { url: url.endsWith("/") ? url : `${url}/`, stop };
  }
  throw new Error("the server ended before it said where it is");
}

/** `lvunet demo --web` on a free port. */
export function serveByLvunet(bin: string): Promise<Server> {
  const flags = ["demo", "--web", "--no-browser", "--port", "0"];
  return started(spawn(join(bin, "lvunet"), flags, { stdio: ["ignore", "pipe", "inherit"] }), /http:\/\/[\d.:]+\//);
}

/** A server that knows nothing of the page: no header but the type. */
export function servePlainly(folder = BUILT): Promise<Server> {
  const flags = ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder];
  return started(spawn(PYTHON, flags, { stdio: ["ignore", "pipe", "ignore"] }), /http:\/\/[\d.:]+\//);
}

/** The page in a context of its own, with its model loaded. */
export async function open(
  context: Browser | BrowserContext,
  url: string,
  options?: BrowserContextOptions,
): Promise<Page> {
  const page = await ("newContext" in context ? context.newPage(options) : context.newPage());
  await page.goto(url);
  await ready(page);
  return page;
}

export async function ready(page: Page): Promise<void> {
  await page.waitForSelector("html[data-engine=ready]");
}

/** Wait until nothing is left to load: then the server may go. */
export async function offline(page: Page): Promise<void> {
  await page.waitForSelector("html[data-offline=ready]");
}

/** Give the page a file, and return what it found. */
export async function segment(
  page: Page,
  file: string | { name: string; mimeType: string; buffer: Buffer },
): Promise<Found> {
  await page.evaluate(() => {
    window.lvunet.last = null;
  });
  await page.setInputFiles("#file", file);
  await page.waitForFunction(
    () => window.lvunet.last !== null || document.querySelector("#message")?.textContent?.trim(),
    undefined,
    { polling: 20 },
  );
  const said = await sentence(page);
  if (said) throw new Error(`the page says: ${said}`);
  return last(page);
}

/** What the page found last. */
export async function last(page: Page): Promise<Found> {
  return unpacked(await page.evaluate(packed));
}

/** In the page: what it found last, the probability as base64 on its way out of the browser. */
export async function packed(): Promise<Report & { probability: string }> {
  const bytes = new Uint8Array((await window.lvunet.probability()).buffer);
  const pieces = [];
  for (let at = 0; at < bytes.length; at += 32_768)
    pieces.push(String.fromCharCode(...bytes.subarray(at, at + 32_768)));
  return { ...(window.lvunet.last as Report), probability: btoa(pieces.join("")) };
}

export function unpacked({ probability, ...rest }: Awaited<ReturnType<typeof packed>>): Found {
  const bytes = new Uint8Array(Buffer.from(probability, "base64"));
  return { ...rest, probability: new Float32Array(bytes.buffer) };
}

/** What the page complains of; empty if it does not. */
export async function sentence(page: Page): Promise<string> {
  const message = page.locator("#message");
  return (await message.isVisible()) ? (await message.innerText()).trim() : "";
}

/** Choose another model, which takes the image that is shown, if there is one. */
export async function choose(page: Page, model: string): Promise<void> {
  await page.locator(`input[name=model][value="${model}"]`).check({ force: true });
  await ready(page);
  await page.waitForFunction((name) => (window.lvunet.last?.model ?? name) === name, model);
}

export async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(OUT, { recursive: true });
  await page.screenshot({ path: join(OUT, `${name}.png`) });
}

/** Makes the page's worker hear of everything so much later, as that of a slow device. */
export const slowly = (page: Page, delay_ms: number): Promise<void> =>
  page.evaluate((delay) => {
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (this: Worker, ...message: Parameters<typeof post>) {
      setTimeout(() => post.apply(this, message), delay);
    } as typeof post;
  }, delay_ms);

/** Keeps the pages to come from asking for the files of later, which they do when all has been calm for a while. */
export const neverCalm = (context: BrowserContext): Promise<unknown> =>
  context.addInitScript(() => {
    const post = ServiceWorker.prototype.postMessage;
    ServiceWorker.prototype.postMessage = function (this: ServiceWorker, ...message: Parameters<typeof post>) {
      if ((message[0] as unknown) !== "keep all") post.apply(this, message);
    } as typeof post;
  });

/** The largest difference between two maps. */
export function largest(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) throw new Error(`maps of ${a.length} and ${b.length} pixels`);
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] as number))), 0);
}
