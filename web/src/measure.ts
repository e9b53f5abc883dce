// How much is outlined: area, and the largest diameter of the largest region.
import { type Card, expectedDice, softDice, sums } from "./card";
import type { Spacing } from "./protocol";

export interface Measures {
  area_px: number;
  /** Share of the image, 0 to 1. */
  area_fraction: number;
  area_mm2: number | null;
  /** The longest straight line within the hull of the largest region, from outer edge to outer edge; 0 if empty. */
  diameter_px: number;
  diameter_mm: number | null;
  regions: number;
  /** An estimate, 0 to 1, of the Dice of this mask; null for a model that was not calibrated. */
  expected_dice: number | null;
}

export interface Plane {
  data: Float32Array;
  width: number;
  height: number;
}

export function measure(plane: Plane, card: Card, threshold: number, spacing: Spacing | null): Measures {
  const found = sums(plane.data, threshold);
  const regions = regionsOf(plane, threshold);
  const largest = regions.reduce<Region | null>(
    (best, region) => (best && best.area >= region.area ? best : region),
    null,
  );
  return {
    area_px: found.area_px,
    area_fraction: found.area_px / plane.data.length,
    area_mm2: spacing && found.area_px * spacing[0] * spacing[1],
    diameter_px: largest ? diameter(largest.runs, [1, 1]) : 0,
    diameter_mm: spacing && (largest ? diameter(largest.runs, spacing) : 0),
    regions: regions.length,
    expected_dice: expectedDice(card, softDice(found)),
  };
}

/** Pixels `left` to `right - 1` of a row. */
export interface Run {
  row: number;
  left: number;
  right: number;
}

export interface Region {
  area: number;
  runs: Run[];
}

/** The regions from the threshold on; pixels that touch at a corner are of one region. */
export function regionsOf({ data, width, height }: Plane, threshold: number): Region[] {
  const least = Math.fround(threshold);
  const runs: Run[] = [];
  const parent: number[] = [];
  const root = (of: number): number => {
    let at = of;
    while (parent[at] !== at) at = parent[at] = parent[parent[at]];
    return at;
  };
  let above = 0; // the first run of the row above
  for (let row = 0; row < height; row++) {
    const first = runs.length;
    const start = row * width;
    let over = above;
    for (let x = 0; x < width; x++) {
      if (data[start + x] < least) continue;
      const left = x;
      while (x < width && data[start + x] >= least) x++;
      const own = runs.push({ row, left, right: x }) - 1;
      parent.push(own);
      while (over < first && runs[over].right < left) over++;
      for (let other = over; other < first && runs[other].left <= x; other++) parent[root(other)] = root(own);
    }
    above = first;
  }
  const regions = new Map<number, Region>();
  for (const [index, run] of runs.entries()) {
    const key = root(index);
    const region = regions.get(key) ?? { area: 0, runs: [] };
    region.area += run.right - run.left;
    region.runs.push(run);
    regions.set(key, region);
  }
  return [...regions.values()];
}

type Point = [number, number];

/** The maximal Feret diameter of runs in order of their rows: between corners of pixels, `spacing` = (down, across). */
export function diameter(runs: readonly Run[], [down, across]: Spacing): number {
  const corners: Point[] = [];
  for (const { row, left, right } of runs)
    for (const y of [row, row + 1]) corners.push([y * down, left * across], [y * down, right * across]);
  const hull = convexHull(corners);
  let longest = 0;
  for (const [index, [y0, x0]] of hull.entries())
    for (const [y1, x1] of hull.slice(index + 1)) longest = Math.max(longest, Math.hypot(y1 - y0, x1 - x0));
  return longest;
}

/** Andrew's monotone chain. */
function convexHull(points: Point[]): Point[] {
  const sorted = points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (ordered: Point[]): Point[] => {
    const chain: Point[] = [];
    for (const point of ordered) {
      while (chain.length > 1 && !turnsLeft(chain[chain.length - 2], chain[chain.length - 1], point)) chain.pop();
      chain.push(point);
    }
    return chain;
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

function turnsLeft(a: Point, b: Point, c: Point): boolean {
  return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0;
}
