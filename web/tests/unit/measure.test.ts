import { describe, expect, test } from "vitest";
import type { Card } from "../../src/card";
import { diameter, measure, type Plane, regionsOf } from "../../src/measure";

const CARD = { quality: [], empty_dice: 0 } as unknown as Card;

/** A plane drawn with # for 1. */
function drawn(...rows: string[]): Plane {
  const data = Float32Array.from(rows.join(""), (sign) => (sign === "#" ? 1 : 0));
  return { data, width: rows[0].length, height: rows.length };
}

/** Reproducible numbers of 0 to 1. */
function* chance(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

/** Every corner of every pixel of the largest region with every other one, the region found by flooding. */
function byForce({ data, width, height }: Plane, down: number, across: number): number {
  let largest: number[] = [];
  const seen = new Set<number>();
  for (let start = 0; start < data.length; start++) {
    if (data[start] < 0.5 || seen.has(start)) continue;
    const region = [start];
    seen.add(start);
    for (const at of region)
      for (const dy of [-1, 0, 1])
        for (const dx of [-1, 0, 1]) {
          const [y, x] = [Math.floor(at / width) + dy, (at % width) + dx];
          const next = y * width + x;
          if (y < 0 || x < 0 || y >= height || x >= width || data[next] < 0.5 || seen.has(next)) continue;
          seen.add(next);
          region.push(next);
        }
    if (region.length > largest.length) largest = region;
  }
  const corners = largest.flatMap((at) =>
    [0, 1].flatMap((dy) => [0, 1].map((dx) => [(Math.floor(at / width) + dy) * down, ((at % width) + dx) * across])),
  );
  let longest = 0;
  for (const [y0, x0] of corners)
    for (const [y1, x1] of corners) longest = Math.max(longest, Math.hypot(y1 - y0, x1 - x0));
  return longest;
}

describe("the largest diameter", () => {
  test("of one pixel is its diagonal, of an empty mask 0", () => {
    expect(measure(drawn("...", ".#.", "..."), CARD, 0.5, null).diameter_px).toBeCloseTo(Math.SQRT2, 12);
    expect(measure(drawn("..", ".."), CARD, 0.5, null).diameter_px).toBe(0);
  });

  test("of four pixels in a row reaches from edge to edge", () => {
    expect(measure(drawn("####"), CARD, 0.5, null).diameter_px).toBeCloseTo(Math.sqrt(17), 12);
  });

  test("is that of the largest region alone", () => {
    const found = measure(drawn("##....#", "##.....", ".......", "......#"), CARD, 0.5, null);
    expect(found.regions).toBe(3);
    expect(found.diameter_px).toBeCloseTo(Math.sqrt(8), 12);
  });

  test("takes the spacing of a pixel along each axis", () => {
    const found = measure(drawn("#", "#", "#"), CARD, 0.5, [0.5, 2]);
    expect(found.diameter_mm).toBeCloseTo(Math.hypot(1.5, 2), 12);
    expect(found.area_mm2).toBeCloseTo(3, 12);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])("is that of trying every pair of corners, scattered mask %i", (seed) => {
    const random = chance(seed);
    const [width, height] = [5 + seed * 2, 19 - seed];
    const data = Float32Array.from({ length: width * height }, () => Number((random.next().value as number) > 0.55));
    const plane = { data, width, height };
    const regions = regionsOf(plane, 0.5);
    const areas = regions.map(({ area }) => area).sort((a, b) => b - a);
    if (areas[0] === areas[1]) return; // two largest: either will do
    const found = measure(plane, CARD, 0.5, [0.7, 1.3]);
    expect(found.diameter_px).toBeCloseTo(byForce(plane, 1, 1), 9);
    expect(found.diameter_mm).toBeCloseTo(byForce(plane, 0.7, 1.3), 9);
    expect(areas.reduce((total, area) => total + area)).toBe(found.area_px);
  });
});

test("regions that touch at a corner are one, and one that forks and closes again is one", () => {
  expect(regionsOf(drawn("#.", ".#"), 0.5)).toHaveLength(1);
  expect(regionsOf(drawn("#.#", "#.#", "###"), 0.5)).toHaveLength(1);
  expect(regionsOf(drawn(".#.#", "#.#."), 0.5)).toHaveLength(1);
  expect(regionsOf(drawn("#.#", "#.#"), 0.5)).toHaveLength(2);
});

test("the area is counted, and its share is of the whole image", () => {
  const found = measure(drawn("#..#", "...."), CARD, 0.5, null);
  expect([found.area_px, found.area_fraction, found.area_mm2]).toEqual([2, 0.25, null]);
});

test("runs of one row have the diagonal of the row", () => {
  expect(diameter([{ row: 3, left: 2, right: 6 }], [1, 1])).toBeCloseTo(Math.hypot(1, 4), 12);
});
