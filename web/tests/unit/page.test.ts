import { describe, expect, test } from "vitest";
import { cameraFailure, type ErrorCode, Failure, failureOf } from "../../src/errors";
import type { Measures } from "../../src/measure";
import type { Model } from "../../src/models";
import { Median, Pace } from "../../src/pace";
import { report } from "../../src/report";
import { maskOf, neighbours, viridis } from "../../src/view";
import { aboutWords, areaWords, diameterWords, qualityWords, scoreWords } from "../../src/words";

const MEASURES: Measures = {
  area_px: 12_345,
  area_fraction: 0.12345,
  area_mm2: null,
  diameter_px: 98.7,
  diameter_mm: null,
  regions: 1,
  expected_dice: 0.9,
};
const MODEL = {
  name: "polyp",
  sha256: "abc",
  outlines: "polyps",
  card: { version: "1", intended_use: "research", threshold: 0.5 },
} as Model;

describe("the pace", () => {
  test("is the median: one slow frame does not move it", () => {
    const pace = new Pace();
    for (const now of [0, 50, 100, 900, 950, 1000]) pace.tick(now);
    expect(pace.fps).toBe(20);
  });
  test("of an even number of values is their middle, and only the last 60 count", () => {
    const median = new Median();
    for (const value of [4, 1]) median.add(value);
    expect(median.value).toBe(2.5);
    for (let index = 0; index < 60; index++) median.add(7);
    expect(median.value).toBe(7);
  });
  test("is not a number before the second frame", () => {
    const pace = new Pace();
    pace.tick(5);
    expect(pace.fps).toBeNaN();
  });
});

describe("words", () => {
  test("for an area: its share, or its square millimetres where they are known", () => {
    expect(areaWords(MEASURES)).toEqual(["12.3 %", "12,345 px"]);
    expect(areaWords({ ...MEASURES, area_mm2: 41.234 })).toEqual(["41.2 mm²", "12.3 % · 12,345 px"]);
    expect(areaWords({ ...MEASURES, area_px: 0 })[0]).toBe("Nothing outlined");
  });
  test("for a diameter", () => {
    expect(diameterWords(MEASURES)).toEqual(["99 px", ""]);
    expect(diameterWords({ ...MEASURES, diameter_mm: 3.456 })).toEqual(["3.46 mm", "99 px"]);
  });
  test.each([
    [0.85, "good", "High · 85 %"],
    [0.84, "fair", "Fair · 84 %"],
    [0.699, "fair", "Fair · 70 %"],
    [0.694, "poor", "Low · 69 %"],
    [0, "poor", "Low · 0 %"],
  ])("for an expected Dice of %f", (expected_dice, trust, badge) => {
    expect(qualityWords({ ...MEASURES, expected_dice }, MODEL, 0.5)).toMatchObject({ trust, badge });
  });
  test("for a model that was not calibrated, an empty mask, and several regions", () => {
    expect(qualityWords({ ...MEASURES, expected_dice: null }, MODEL, 0.5).badge).toBe("No estimate");
    expect(qualityWords({ ...MEASURES, area_px: 0 }, MODEL, 0.5).badge).toBe("No outline");
    expect(qualityWords(MEASURES, MODEL, 0.3).words).toMatch(/made for a threshold of 0.5/);
    expect(qualityWords({ ...MEASURES, regions: 3 }, MODEL, 0.5).words).toMatch(/largest of 3 regions/);
  });
});

describe("a model", () => {
  const score = {
    dataset: "a",
    title: "A",
    split: "test",
    n: 155,
    dice: 0.679,
    low: 0.616,
    high: 0.738,
    normals: null,
  };
  test("is told with its interval, and with its false alarms where they were counted", () => {
    expect(aboutWords({ ...MODEL, scores: [score] })).toBe("Outlines polyps: 68 % Dice (62 to 74) on 155 test images.");
    const normals = { n: 28, false_alarms: 12 };
    expect(aboutWords({ ...MODEL, scores: [{ ...score, normals }] })).toMatch(
      / 12 of 28 images .* nothing to outline\.$/,
    );
    expect(aboutWords({ ...MODEL, scores: [] })).toBe("Outlines polyps.");
  });
  test("has scores with set, split and number of images", () => {
    expect(scoreWords(score)).toBe("A, test, 155 images: Dice 0.679, 95 % interval 0.616 to 0.738.");
  });
});

describe("failures", () => {
  test.each([
    [new RangeError("Array buffer allocation failed"), "memory"],
    [new Error("std::bad_alloc"), "memory"],
    [new Error("no available backend found. ERR: [wasm] blocked"), "wasmBlocked"],
    [new Error("anything"), "modelFailed"],
    ["a string", "modelFailed"],
    [new Failure("tooLarge"), "tooLarge"],
  ])("%s is named", (error, code) => {
    expect(failureOf(error, "modelFailed").code).toBe(code as ErrorCode);
  });
  test.each([
    ["NotAllowedError", "cameraDenied"],
    ["NotFoundError", "cameraNone"],
    ["NotReadableError", "cameraBusy"],
    ["TypeError", "cameraFailed"],
  ])("of a camera, %s", (name, code) => {
    expect(cameraFailure(new DOMException("", name)).code).toBe(code);
  });
});

describe("the look", () => {
  test("a pixel at the threshold is in the mask", () => {
    expect([...maskOf(Float32Array.of(0.49, 0.5, 0.51), 0.5)]).toEqual([0, 1, 1]);
  });
  test("neighbours are those of a square, the edge repeated", () => {
    const [width, height, reach] = [7, 5, 2];
    const mask = Uint8Array.from({ length: width * height }, (_, at) => Number((at * 7919) % 5 < 2));
    const clamp = (value: number, most: number) => Math.min(Math.max(value, 0), most);
    const counted = Array.from(mask, (_, at) => {
      let count = 0;
      for (let dy = -reach; dy <= reach; dy++)
        for (let dx = -reach; dx <= reach; dx++)
          count += mask[clamp(Math.floor(at / width) + dy, height - 1) * width + clamp((at % width) + dx, width - 1)];
      return count;
    });
    expect([...neighbours(mask, width, reach)]).toEqual(counted);
  });
  test("the colours of a probability grow lighter from 0 to 1", () => {
    const light = (p: number) => viridis(p).reduce((sum, value, at) => sum + value * [0.299, 0.587, 0.114][at], 0);
    const lights = Array.from({ length: 21 }, (_, step) => light(step / 20));
    expect(lights).toEqual(lights.toSorted((a, b) => a - b));
    expect([viridis(0), viridis(1)]).toEqual([
      [68, 1, 84],
      [253, 231, 37],
    ]);
  });
});

test("what is saved says where it comes from", () => {
  const found = { width: 640, height: 480, measures: MEASURES } as Parameters<typeof report>[2];
  const saved = report(MODEL, "a.b.jpg", found, 0.5, { decode: 1, run: 2, total: 3 });
  expect(saved).toMatchObject({
    image: "a.b",
    model: "polyp",
    sha256: "abc",
    threshold: 0.5,
    area_px: 12_345,
    version: "1",
  });
  expect(saved.intended_use).toBe("research");
});
