/** What a visitor downloads before the first image, compressed as a server or the build does it. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, inject, test } from "vitest";
import type { Files } from "../../precache";
import { BUILT, launch, neverCalm, open, segment, servePlainly } from "./harness";

const MB = 1e6;
/** What the service worker keeps at once, and itself; the model that is asked for comes with it, the rest later. */
const [, list] = /^self\.files = (\{.*\});/.exec(readFileSync(join(BUILT, "sw.js"), "utf8")) ?? [];
const { now, later } = JSON.parse(list as string) as Files;
const needed = (model: string): string[] => [
  ...Object.keys(now).filter((file) => file !== "./"),
  ...["sw.js", `models/${model}.json`, `models/${model}.onnx`],
];

const packed = (file: string): number => {
  const bytes = readFileSync(join(BUILT, file));
  return Math.min(bytes.length, gzipSync(bytes, { level: 9 }).length);
};

/** MB; weights of 16 bits hardly pack, but for those of polyp, which training has brought near zero. */
const MOST = { polyp: 4, skin: 4.6, "breast-ultrasound": 4.6 };

test("no file takes anything from the first of the worker, which WebKit would then run twice", () => {
  const scripts = Object.keys({ ...now, ...later }).filter((file) => file.endsWith(".js"));
  const [first] = scripts.filter((file) => file.includes("segment.worker"));
  const taking = scripts.filter((file) => readFileSync(join(BUILT, file), "utf8").includes(basename(first)));
  expect(taking.map((file) => file.replace(/-.*/, ""))).toEqual(["assets/index"]); // which starts it
});

describe.each(Object.entries(MOST))("a first visit that begins with %s", (model, most) => {
  test(`is under ${most} MB, its model under 1.5 MB`, () => {
    const sizes = needed(model).map((file) => ({ file, bytes: packed(file) }));
    const sum = sizes.reduce((total, { bytes }) => total + bytes, 0);
    console.table([...sizes, { file: "all", bytes: sum }]);
    expect(sum).toBeLessThan(most * MB);
    expect(packed(`models/${model}.onnx`)).toBeLessThan(1.5 * MB);
  });

  test("asks for nothing else before it is ready", async () => {
    const server = await servePlainly();
    const browser = await launch();
    const context = await browser.newContext();
    const asked = new Set<string>();
    context.on("response", (response) => {
      const { pathname } = new URL(response.url());
      if (response.ok() && !response.fromServiceWorker()) asked.add(pathname.slice(1) || "index.html");
    });
    await neverCalm(context);
    const page = await open(context, `${server.url}?model=${model}`);
    const loaded = new Set(asked);
    expect((await segment(page, join(inject("drawn"), "polyp.png"))).model).toBe(model);
    expect([...loaded].filter((file) => !needed(model).includes(file))).toEqual([]);
    expect(loaded).toContain(`models/${model}.onnx`);
    await browser.close();
    server.stop();
  });

  test("needs nothing else for the first image", async () => {
    const browser = await launch();
    const context = await browser.newContext({ serviceWorkers: "block" });
    await context.route(
      ({ pathname }) => !["", ...needed(model)].includes(pathname.slice(1)),
      (route) => route.abort(),
    );
    const page = await open(context, `${inject("url")}?model=${model}`);
    expect((await segment(page, join(inject("drawn"), "polyp.png"))).area_px).toBeGreaterThanOrEqual(0);
    await browser.close();
  });
});
