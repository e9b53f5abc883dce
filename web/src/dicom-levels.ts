// Grey levels of DICOM samples: modality and VOI transformations as in pydicom's `apply_voi_lut`, brought to 0..255.
import type { DataSet } from "dicom-parser";

/** A stored sample to its grey level, 0 to 255, not rounded. */
export type Levels = (sample: number) => number;

/** What of a frame the levels depend on. */
export interface Samples {
  samples: ArrayLike<number>;
  bits: number;
  photometric: string;
}

/** The levels of a monochrome frame; without window and table, 0 to 255 stay and all else is stretched from its range. */
export function levelsOf(set: DataSet, { samples, photometric }: Samples): Levels {
  const rescale = modality(set);
  const table = tableOf(set.elements.x00283010?.items?.[0]?.dataSet);
  const center = set.floatString("x00281050");
  const width = set.floatString("x00281051");
  let grey: Levels;
  if (table) grey = (sample) => table.at(rescale(sample)) * 255;
  else if (center !== undefined && width !== undefined && width > 0) {
    const level = windowed(center, width, set.string("x00281056") ?? "LINEAR");
    grey = (sample) => level(rescale(sample)) * 255;
  } else grey = stretched(samples);
  return photometric === "MONOCHROME1" ? (sample) => 255 - grey(sample) : grey;
}

/** The VOI window of DICOM PS3.3 C.11.2.1: 0 to 1. */
export function windowed(center: number, width: number, shape: string): Levels {
  const clamp = (value: number) => Math.min(Math.max(value, 0), 1);
  if (shape === "SIGMOID") return (value) => 1 / (1 + Math.exp((-4 * (value - center)) / width));
  if (shape === "LINEAR_EXACT") return (value) => clamp((value - center) / width + 0.5);
  if (width <= 1) return (value) => (value <= center - 0.5 ? 0 : 1);
  return (value) => clamp((value - (center - 0.5)) / (width - 1) + 0.5);
}

/** From the lowest sample to the highest, as `lvunet.image` does with more than 8 bits. */
function stretched(samples: ArrayLike<number>): Levels {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < samples.length; at++) {
    low = Math.min(low, samples[at]);
    high = Math.max(high, samples[at]);
  }
  return low >= 0 && high <= 255 ? (sample) => sample : (sample) => ((sample - low) * 255) / (high - low || 1);
}

function modality(set: DataSet): Levels {
  const table = tableOf(set.elements.x00283000?.items?.[0]?.dataSet);
  if (table) return (sample) => table.at(sample) * table.highest;
  const slope = set.floatString("x00281053") ?? 1;
  const intercept = set.floatString("x00281052") ?? 0;
  return (sample) => sample * slope + intercept;
}

/** A lookup table of DICOM: of a value its entry, 0 to 1 of what `highest` bits can hold. */
function tableOf(set: DataSet | undefined): { at: Levels; highest: number } | null {
  const data = set?.elements.x00283006;
  if (!set || !data) return null;
  const entries = set.uint16("x00283002", 0) || 65_536;
  const first =
    data.vr === "US" || set.elements.x00283002?.vr === "US" ? set.uint16("x00283002", 1) : set.int16("x00283002", 1);
  const bits = set.uint16("x00283002", 2) ?? 16;
  const wide = data.length >= entries * 2;
  const highest = 2 ** bits - 1;
  const read = (index: number) =>
    wide ? (set.uint16("x00283006", index) ?? 0) : (set.byteArray[data.dataOffset + index] ?? 0);
  const table = Float64Array.from({ length: entries }, (_, index) => read(index) / highest);
  const at = (value: number) => table[Math.min(Math.max(Math.round(value) - (first ?? 0), 0), entries - 1)];
  return { at, highest };
}
