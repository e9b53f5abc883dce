// What a mask and a probability look like: the same fill, outline and colour as `lvunet.image.overlay`.

export type Look = "image" | "overlay" | "mask" | "probability";

const COLOUR = [86, 180, 233] as const; // Okabe and Ito's sky blue
/** Viridis at nine steps: https://bids.github.io/colormap, CC0. */
const VIRIDIS = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
] as const;

/** RGBA of a probability (H, W) for a view, to lay over the picture. */
export function paint(look: Look, probability: Float32Array, width: number, threshold: number, opacity: number) {
  const painted = new Uint32Array(probability.length);
  const mask = look === "probability" ? null : maskOf(probability, threshold);
  if (!mask) for (let at = 0; at < painted.length; at++) painted[at] = TABLE[Math.round(probability[at] * 255)];
  else if (look === "mask") for (let at = 0; at < painted.length; at++) painted[at] = mask[at] ? WHITE : BLACK;
  else overlay(painted, mask, width, opacity);
  return new ImageData(new Uint8ClampedArray(painted.buffer), width);
}

/** `inside` where the probability reaches the threshold, else 0. */
export function maskOf(probability: Float32Array, threshold: number, inside = 1): Uint8Array {
  const least = Math.fround(threshold); // NumPy compares in float32
  const mask = new Uint8Array(probability.length);
  for (let at = 0; at < mask.length; at++) mask[at] = probability[at] >= least ? inside : 0;
  return mask;
}

/** The colour of a probability of 0 to 1. */
export function viridis(p: number): [number, number, number] {
  const place = Math.min(Math.max(p, 0), 1) * (VIRIDIS.length - 1);
  const step = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const [low, high] = [VIRIDIS[step] as readonly number[], VIRIDIS[step + 1] as readonly number[]];
  const mixed = low.map((value, channel) => value + (place - step) * (high[channel] - value));
  return mixed as [number, number, number];
}

/** Viridis at 256 steps, as the pixels of an image. */
const TABLE = Uint32Array.from({ length: 256 }, (_, step) => pixel(viridis(step / 255), 255));
const [BLACK, WHITE] = [pixel([0, 0, 0], 255), pixel([255, 255, 255], 255)];

/** RGBA as one number, in the order of bytes of the machine. */
function pixel(rgb: readonly number[], alpha: number): number {
  return new Uint32Array(new Uint8ClampedArray([...rgb, alpha]).buffer)[0];
}

/** Fills the mask at an opacity of 0 to 1, and outlines it. */
function overlay(painted: Uint32Array, mask: Uint8Array, width: number, opacity: number): void {
  const [fill, line] = [pixel(COLOUR, Math.round(255 * opacity)), pixel(COLOUR, 255)];
  const reach = Math.max(1, Math.round(Math.min(width, mask.length / width) / 350));
  const near = neighbours(mask, width, reach);
  const full = (2 * reach + 1) ** 2;
  for (let at = 0; at < mask.length; at++) if (near[at] > 0) painted[at] = near[at] < full ? line : fill;
}

/** For each pixel, how many of the square of `reach` around it are of the mask; the edge is repeated outwards. */
export function neighbours(mask: Uint8Array, width: number, reach: number): Uint16Array {
  const height = mask.length / width;
  const across = new Uint16Array(mask.length);
  slide(mask, across, height, width, width, 1, reach);
  const both = new Uint16Array(mask.length);
  slide(across, both, width, height, 1, width, reach);
  return both;
}

/** Sums of a window that slides along each of `lines`, whose starts are `between` apart and whose pixels are `step`. */
function slide(
  from: Uint8Array | Uint16Array,
  to: Uint16Array,
  lines: number,
  length: number,
  between: number,
  step: number,
  reach: number,
): void {
  const last = (length - 1) * step;
  const ahead = (reach + 1) * step;
  const behind = reach * step;
  for (let line = 0; line < lines; line++) {
    const start = line * between;
    let sum = from[start] * (reach + 1);
    for (let offset = step; offset <= behind; offset += step) sum += from[start + Math.min(offset, last)];
    for (let offset = 0; offset <= last; offset += step) {
      to[start + offset] = sum;
      sum += from[start + Math.min(offset + ahead, last)] - from[start + Math.max(offset - behind, 0)];
    }
  }
}
