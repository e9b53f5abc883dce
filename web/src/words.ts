// Numbers as people read them: areas, diameters, and how far to trust an outline.
import type { Measures } from "./measure";
import type { Model, Score } from "./models";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** A value, and what else is to say of it. */
export type Words = readonly [value: string, more: string];

export function areaWords({ area_px, area_fraction, area_mm2 }: Measures): Words {
  if (area_px === 0) return ["Nothing outlined", ""];
  const share = `${three.format(area_fraction * 100)} %`;
  const pixels = `${whole.format(area_px)} px`;
  return area_mm2 === null ? [share, pixels] : [`${three.format(area_mm2)} mm²`, `${share} · ${pixels}`];
}

export function diameterWords({ diameter_px, diameter_mm }: Measures): Words {
  const pixels = `${whole.format(diameter_px)} px`;
  if (diameter_px === 0) return ["–", ""];
  return diameter_mm === null ? [pixels, ""] : [`${three.format(diameter_mm)} mm`, pixels];
}

export type Trust = "good" | "fair" | "poor" | "none";

export interface Quality {
  trust: Trust;
  badge: string;
  words: string;
}

/** From which expected Dice on, in percent, an outline is called what. */
const LEVELS = [
  [85, "good", "High"],
  [70, "fair", "Fair"],
  [0, "poor", "Low"],
] as const;

/** An expected Dice as a badge and a sentence; it was fitted at the model's own threshold. */
export function qualityWords({ area_px, expected_dice, regions }: Measures, model: Model, threshold: number): Quality {
  if (area_px === 0)
    return {
      trust: "none",
      badge: "No outline",
      words: `Nothing reaches the threshold, which does not mean that nothing is there: the model misses some. It is only for ${model.outlines}.`,
    };
  if (expected_dice === null)
    return { trust: "none", badge: "No estimate", words: "This model was not calibrated. Judge the outline yourself." };
  const percent = Math.round(expected_dice * 100);
  const [, trust, level] = LEVELS.find(([least]) => percent >= least) as (typeof LEVELS)[number];
  const words = [
    `Only for ${model.outlines}, like those of its training:`,
    `an outline this sure overlapped by about ${percent} % (Dice) with an expert's.`,
    trust === "poor" ? "Expect large errors." : "On other images it can be sure and wrong.",
    threshold === model.card.threshold ? "" : `The estimate was made for a threshold of ${model.card.threshold}.`,
    regions > 1 ? `The diameter is that of the largest of ${regions} regions.` : "",
  ];
  return { trust, badge: `${level} · ${percent} %`, words: words.filter(Boolean).join(" ") };
}

/** What a model outlines, and how well it did on images that it had not seen. */
export function aboutWords({ outlines, scores }: Model): string {
  const [first] = scores;
  if (!first) return `Outlines ${outlines}.`;
  const [dice, low, high] = [first.dice, first.low, first.high].map((value) => Math.round(value * 100));
  const normals = first.normals
    ? ` It outlined something in ${first.normals.false_alarms} of ${first.normals.n} images that have nothing to outline.`
    : "";
  return `Outlines ${outlines}: ${dice} % Dice (${low} to ${high}) on ${first.n} test images.${normals}`;
}

/** A score with all that it takes to judge it. */
export function scoreWords({ title, split, n, dice, low, high }: Score): string {
  const [mean, least, most] = [dice, low, high].map((value) => value.toFixed(3));
  return `${title}, ${split}, ${n} images: Dice ${mean}, 95 % interval ${least} to ${most}.`;
}
