// The models of the page, and their descriptions beside them.
import type { Card } from "./card";

export interface Model {
  name: string;
  sha256: string;
  bytes: number;
  outlines: string;
  trained_on: string;
  scores: { dataset: string; n: number; dice: number; low: number; high: number }[];
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
