// The picture on the screen, with what was found laid over it.
import { element } from "./page";
import type { Segmented } from "./protocol";
import { type Look, paint, viridis } from "./view";

export interface Settings {
  look: Look;
  threshold: number;
  /** Of the fill, 0 to 1. */
  opacity: number;
}

const picture = context(new OffscreenCanvas(1, 1));
const over = context(new OffscreenCanvas(1, 1));

/** Takes a copy of a bitmap, which is not needed any longer. */
export function show(bitmap: ImageBitmap): void {
  sized(picture.canvas, bitmap.width, bitmap.height);
  picture.clearRect(0, 0, bitmap.width, bitmap.height);
  picture.drawImage(bitmap, 0, 0);
  bitmap.close();
}

/** Draws the picture, and over it what was found; without it the picture alone. */
export function draw(found: Segmented | null, settings: Settings): void {
  const screen = element<HTMLCanvasElement>("picture");
  const { width, height } = picture.canvas;
  sized(screen, width, height);
  const target = screen.getContext("2d") as CanvasRenderingContext2D;
  target.clearRect(0, 0, width, height);
  target.drawImage(picture.canvas, 0, 0);
  if (!found || settings.look === "image") return;
  const painted = paint(settings.look, found.preview, found.previewWidth, settings.threshold, settings.opacity);
  sized(over.canvas, painted.width, painted.height);
  over.putImageData(painted, 0, 0);
  target.imageSmoothingEnabled = settings.look !== "mask";
  target.drawImage(over.canvas, 0, 0, width, height);
}

/** Draws the colours of the probability view from 0 to 1. */
export function drawLegend(canvas: HTMLCanvasElement): void {
  const target = canvas.getContext("2d") as CanvasRenderingContext2D;
  for (let x = 0; x < canvas.width; x++) {
    target.fillStyle = `rgb(${viridis(x / (canvas.width - 1)).join(" ")})`;
    target.fillRect(x, 0, 1, canvas.height);
  }
}

function context(canvas: OffscreenCanvas): OffscreenCanvasRenderingContext2D {
  return canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
}

/** Sets a size only if it changes, since that clears and allocates anew. */
function sized(canvas: { width: number; height: number }, width: number, height: number): void {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}
