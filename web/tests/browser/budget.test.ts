/** What a visitor downloads before the first image, compressed as a server or the build does it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, inject, test } from "vitest";
import { BUILT, launch, open, segment } from "./harness";

const MB = 1e6;
/** What the service worker keeps at once; the rest comes when the page is ready. */
const [, list] = /^self\.files = (\{.*\});/.exec(readFileSync(join(BUILT, "sw.js"), "utf8")) ?? [];
const now: string[] = [...JSON.parse(list as string).now, "sw.js"].filter((file) => file !== "./");

const packed = (file: string): number => {
  const bytes = readFileSync(join(BUILT, file));
  return Math.min(bytes.length, gzipSync(bytes, { level: 9 }).length);
};

test("the first load is under 4 MB, and each model under 1.5 MB", () => {
  const sizes = now.map((file) => ({ file, bytes: packed(file) }));
  const sum = sizes.reduce((total, { bytes }) => total + bytes, 0);
  console.table([...sizes, { file: "all", bytes: sum }]);
  expect(sum).toBeLessThan(4 * MB);
  for (const model of ["skin", "polyp", "breast-ultrasound"])
    expect(packed(`models/${model}.onnx`)).toBeLessThan(1.5 * MB);
});

test("nothing else is needed for the first image", async () => {
  const browser = await launch();
  const context = await browser.newContext({ serviceWorkers: "block" });
  await context.route(
    ({ pathname }) => !["", ...now].includes(pathname.slice(1)),
    (route) => route.abort(),
  );
  const page = await open(context, inject("url"));
  expect((await segment(page, join(inject("drawn"), "polyp.png"))).area_px).toBeGreaterThan(0);
  await browser.close();
});
