// What the page asks of the worker, and what it gets back.
import type { ErrorCode } from "./errors";
import type { Measures } from "./measure";
import type { Model } from "./models";

/** Millimetres a pixel, down and across. */
export type Spacing = readonly [number, number];

export type Request =
  | { kind: "load"; model: Model; base: string; threads: number }
  /** Reads a file, which stays in the worker; `segment` and all after it are about that. */
  | { kind: "open"; file: File }
  | { kind: "segment"; threshold: number }
  /** Reads and segments a frame of a camera. */
  | { kind: "frame"; bitmap: ImageBitmap; threshold: number }
  | { kind: "measure"; threshold: number }
  | { kind: "png"; look: "mask" | "overlay"; threshold: number; opacity: number }
  | { kind: "probability" };

export interface Opened {
  width: number;
  height: number;
  /** The image at the size of a screen. */
  bitmap: ImageBitmap;
  /** What to know of how it was read; empty if nothing. */
  note: string;
}

export interface Segmented {
  width: number;
  height: number;
  /** The probability for the screen: all of it up to a limit, thinned out above it. */
  preview: Float32Array<ArrayBuffer>;
  previewWidth: number;
  measures: Measures;
  run_ms: number;
}

export interface Replies {
  load: null;
  open: Opened;
  segment: Segmented;
  frame: Segmented & { bitmap: ImageBitmap };
  measure: Measures;
  png: Blob;
  probability: Float32Array<ArrayBuffer>;
}

export type Reply = { id: number; value: Replies[Request["kind"]] } | { id: number; code: ErrorCode; detail: string };
