import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Card, expectedDice, softDice, sums } from "../../src/card";

interface Case {
  card: Card;
  probability: number[];
  area_px: number;
  soft_dice: number | null;
  expected_dice: number | null;
}

const cases: Case[] = JSON.parse(readFileSync(new URL("card.json", import.meta.url), "utf8"));
const DIGITS = 9; // both add in float64, in another order

describe("as in Python", () => {
  test.each(cases.map((known, index) => [index, known] as const))("the numbers of map %i", (_, known) => {
    const found = sums(Float32Array.from(known.probability), known.card.threshold);
    expect(found.area_px).toBe(known.area_px);
    const soft = softDice(found);
    if (known.soft_dice === null) expect(soft).toBeNull();
    else expect(soft).toBeCloseTo(known.soft_dice, DIGITS);
    const dice = expectedDice(known.card, soft);
    if (known.expected_dice === null) expect(dice).toBeNull();
    else expect(dice).toBeCloseTo(known.expected_dice, DIGITS);
  });
});

test("a probability just at the threshold, as float32 has it, belongs to the mask", () => {
  expect(sums(Float32Array.of(0.1, 0.7, 0.0999999), 0.1).area_px).toBe(2);
});

test("soft Dice by hand: 2 (0.8 + 0.6) / (0.64 + 0.36 + 0.04 + 2)", () => {
  expect(softDice(sums(Float32Array.of(0.8, 0.6, 0.2), 0.5))).toBeCloseTo(2.8 / 3.04, 6);
});

test("between knots the Dice is linear, from nothing to the first, and constant behind the last", () => {
  const card = {
    quality: [
      [0.5, 0.2],
      [0.9, 0.8],
    ],
    empty_dice: 0.1,
  } as unknown as Card;
  const dice = [0.25, 0.7, 1, null].map((soft) => expectedDice(card, soft));
  expect(dice.map((value) => value?.toFixed(6))).toEqual(["0.100000", "0.500000", "0.800000", "0.100000"]);
});
