// What is saved as numbers, and what a test reads: all that it takes to know where a result comes from.
import type { Measures } from "./measure";
import type { Model } from "./models";
import type { Segmented } from "./protocol";

export interface Report extends Measures {
  image: string;
  width: number;
  height: number;
  model: string;
  sha256: string;
  version: string;
  threshold: number;
  intended_use: string;
  timings_ms: { decode: number; run: number; total: number };
}

/** `name` is that of the file, of which the suffix is dropped. */
export function report(
  model: Model,
  name: string,
  { width, height, measures }: Segmented,
  threshold: number,
  timings_ms: Report["timings_ms"],
): Report {
  const { sha256, card } = model;
  const image = name.replace(/\.[^.]*$/, "") || "image";
  const { version, intended_use } = card;
  return { image, width, height, model: model.name, sha256, version, threshold, ...measures, intended_use, timings_ms };
}
