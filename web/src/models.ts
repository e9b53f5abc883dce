// The models of the page, and their descriptions beside them.
import type { Card } from "./card";

/** A test part: the mean Dice of its images, and the 95 % interval of that. */
export interface Score {
  dataset: string;
  title: string;
  split: string;
  n: number;
  dice: number;
  low: number;
  high: number;
  /** Images with nothing to outline, and in how many of them something was; null where there are none. */
  normals: { n: number; false_alarms: number } | null;
}

export interface Model {
  name: string;
  sha256: string;
  bytes: number;
  outlines: string;
  trained_on: string;
  scores: Score[];
  /** What is known of where it fails, in sentences of its card. */
  limits: string[];
  data_terms: string[];
  weights_terms: string;
  card: Card;
}

/** Names and labels; the first is what the page starts with. */
export const MODELS: Record<string, string> = {
  polyp: "Polyp",
  skin: "Skin lesion",
  "breast-ultrasound": "Breast ultrasound",
};

export async function describe(name: string): Promise<Model> {
  const response = await fetch(`models/${name}.json`);
  if (!response.ok) throw new Error(`models/${name}.json: ${response.status}`);
  return response.json() as Promise<Model>;
}
