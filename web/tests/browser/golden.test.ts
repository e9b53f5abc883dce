/** The page computes what Python computes: the same artefact, the same pixels, the same probabilities. */
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { cases, choose, expected, largest, launch, open, segment } from "./harness";

/** Of a probability: 32-bit sums in another order; 6e-6 at most over all files here (Chromium 156, 2026-11-23). */
const SAME_PIXELS = 1e-4;
/** Where the browser decodes by itself and may round a grey level otherwise; Chromium 156 does not. */
const DECODED = 1e-3;

/** Of an area, where a grey level may differ. */
const ROUNDED = 1e-3;

const drawn = inject("drawn");
let browser: Browser;
let page: Page;

beforeAll(async () => {
  browser = await launch();
  page = await open(browser, inject("url"));
});
afterAll(() => browser.close());

describe.each(["cases.json", "dicoms.json"])("of %s", (list) => {
  test.each(cases(drawn, list))("$file is segmented by $model as in Python", async (known) => {
    await choose(page, known.model);
    const found = await segment(page, join(drawn, known.file));
    expect([found.width, found.height]).toEqual([known.width, known.height]);
    const probability = expected(drawn, known.file);
    expect(largest(found.probability, probability)).toBeLessThan(known.exact ? SAME_PIXELS : DECODED);
    expect(dice(found.probability, probability)).toBeGreaterThan(0.999);
    if (known.exact) expect(found.area_px).toBe(known.area_px);
    expect(Math.abs(found.area_px - known.area_px)).toBeLessThanOrEqual(known.area_px * ROUNDED);
    expect(Math.abs(found.diameter_px - known.diameter_px)).toBeLessThanOrEqual(known.exact ? 1e-9 : 3);
    expect(found.threshold).toBe(known.threshold);
    expect(found.expected_dice).toBeCloseTo(known.expected_dice as number, 3);
    expect(found.area_fraction).toBeCloseTo(found.area_px / known.width / known.height, 9);
  });
});

/** Of the masks at one half; two empty ones agree. */
function dice(a: Float32Array, b: Float32Array): number {
  let [both, sum] = [0, 0];
  a.forEach((value, at) => {
    const [here, there] = [value >= 0.5, (b[at] as number) >= 0.5];
    both += Number(here && there);
    sum += Number(here) + Number(there);
  });
  return sum === 0 ? 1 : (2 * both) / sum;
}
