// The worker: holds the model and the image at its full size, so that the page never waits for either.
import type { InferenceSession } from "onnxruntime-web/wasm";
import { Failure, failureOf } from "./errors";
import { type Measures, measure, type Plane } from "./measure";
import type { Model } from "./models";
import { open, type Picture } from "./picture";
import { PixelReader } from "./pixels";
import { greyPng } from "./png";
import type { Opened, Replies, Reply, Request, Segmented } from "./protocol";
import { load, run } from "./runtime";
import { maskOf, paint } from "./view";

const SCREEN = 1600; // pixels of the longer side of what is shown
const reader = new PixelReader();
let model: Model | null = null;
let session: InferenceSession | null = null;
let picture: Picture | null = null;
let plane: Plane | null = null;
let turn: Promise<unknown> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<{ id: number; request: Request }>) => {
  turn = turn.then(() => answer(data.id, data.request)); // one after another
};

async function answer(id: number, request: Request): Promise<void> {
  try {
    const value = await act(request);
    post({ id, value }, transferable(value));
  } catch (error) {
    const failure = failureOf(error, request.kind === "png" ? "notSaved" : "modelFailed");
    post({ id, code: failure.code, detail: failure.detail });
  }
}

/** What is handed over instead of copied: bitmaps and arrays. */
function transferable(value: Replies[Request["kind"]]): Transferable[] {
  const parts = value instanceof Float32Array ? [value] : Object.values(value ?? {});
  return parts.flatMap((part) =>
    part instanceof ImageBitmap ? part : part instanceof Float32Array ? part.buffer : [],
  );
}

function post(reply: Reply, transfer: Transferable[] = []): void {
  self.postMessage(reply, { transfer });
}

async function act(request: Request): Promise<Replies[Request["kind"]]> {
  switch (request.kind) {
    case "load": {
      const before = session;
      session = await load(request.model, request.base, request.threads);
      model = request.model;
      await before?.release();
      return null;
    }
    case "open":
      return openFile(request.file);
    case "segment":
      return segment(kept(picture).bitmap, request.threshold);
    case "frame": {
      close();
      return { ...(await segment(request.bitmap, request.threshold)), bitmap: request.bitmap };
    }
    case "measure":
      return measured(request.threshold);
    case "png":
      return png(request.look, request.threshold, request.opacity);
    case "probability":
      return new Float32Array(kept(plane).data);
  }
}

/** What was opened or found before; if there is nothing, the worker was restarted meanwhile. */
function kept<T>(value: T | null): T {
  if (value === null) throw new Failure("workerLost");
  return value;
}

function close(): void {
  picture?.bitmap.close();
  picture = plane = null;
}

async function openFile(file: File): Promise<Opened> {
  const opened = await open(file); // if that fails, what was open stays
  close();
  picture = opened;
  const { bitmap, note } = opened;
  const { width, height } = bitmap;
  const scale = Math.min(1, SCREEN / Math.max(width, height));
  const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const small = await createImageBitmap(bitmap, { resizeWidth, resizeHeight, resizeQuality: "medium" });
  return { width, height, bitmap: small, note };
}

async function segment(bitmap: ImageBitmap, threshold: number): Promise<Segmented> {
  const { width, height } = bitmap;
  const start = performance.now();
  const data = await run(kept(session), reader.read(bitmap), width, height);
  const run_ms = performance.now() - start;
  plane = { data, width, height };
  return { width, height, ...preview(plane), measures: measured(threshold), run_ms };
}

function measured(threshold: number): Measures {
  return measure(kept(plane), kept(model).card, threshold, picture?.spacing ?? null);
}

/** Every n-th pixel of every n-th row, so that the longer side is no longer than the screen's. */
function preview({ data, width, height }: Plane): Pick<Segmented, "preview" | "previewWidth"> {
  const step = Math.ceil(Math.max(width, height) / SCREEN);
  if (step === 1) return { preview: new Float32Array(data), previewWidth: width };
  const previewWidth = Math.ceil(width / step);
  const thinned = new Float32Array(previewWidth * Math.ceil(height / step));
  let to = 0;
  for (let row = 0; row < height; row += step)
    for (let column = 0; column < width; column += step) thinned[to++] = data[row * width + column];
  return { preview: thinned, previewWidth };
}

/** What was found as a PNG: the mask, 0 or 255, or the picture with the overlay. */
async function png(look: "mask" | "overlay", threshold: number, opacity: number): Promise<Blob> {
  const { data, width, height } = kept(plane);
  if (look === "mask") return greyPng(maskOf(data, threshold, 255), width);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
  context.drawImage(kept(picture).bitmap, 0, 0);
  const painted = await createImageBitmap(paint(look, data, width, threshold, opacity));
  context.drawImage(painted, 0, 0);
  painted.close();
  return canvas.convertToBlob({ type: "image/png" });
}
