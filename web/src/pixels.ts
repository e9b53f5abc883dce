// A bitmap as the bytes that the model takes: RGB, transparency laid on white, a strip of rows at a time.

const ROWS = 256; // a photograph never exists as one canvas, which phones limit to 16 megapixels

export class PixelReader {
  #rgb = new Uint8Array();
  #canvas = new OffscreenCanvas(1, 1);

  /** RGB, uint8 (H, W, 3); the next call overwrites it where the size is the same. */
  read(bitmap: ImageBitmap): Uint8Array {
    const { width, height } = bitmap;
    if (this.#rgb.length !== width * height * 3) this.#rgb = new Uint8Array(width * height * 3);
    const rows = Math.min(ROWS, height);
    if (this.#canvas.width !== width || this.#canvas.height !== rows) this.#canvas = new OffscreenCanvas(width, rows);
    const context = this.#canvas.getContext("2d", { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D;
    for (let top = 0; top < height; top += rows) {
      context.fillStyle = "white";
      context.fillRect(0, 0, width, rows);
      context.drawImage(bitmap, 0, -top);
      const strip = context.getImageData(0, 0, width, Math.min(rows, height - top)).data;
      dropAlpha(strip, this.#rgb.subarray(top * width * 3));
    }
    return this.#rgb;
  }
}

function dropAlpha(rgba: Uint8ClampedArray, rgb: Uint8Array): void {
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
}
