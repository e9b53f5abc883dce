// The size of an image from its first bytes, before a decoder takes memory for it.

/** Pixels; four bytes each in the browser, and four of its probability. */
export const LARGEST = 40_000_000;
/** Pixels of a side: beyond, a canvas stays white in silence. */
export const LONGEST = 32_000;

export interface Header {
  width: number;
  height: number;
  /** Bits of grey, of which a browser would keep the upper 8; only where there are more. */
  greyBits?: number;
}

/** Width and height of a PNG, JPEG, GIF, BMP or WebP as stored; null for anything else, or where they come later. */
export function headerOf(bytes: Uint8Array): Header | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (at: number, length: number) => String.fromCharCode(...bytes.subarray(at, at + length));
  if (bytes.length < 30) return null;
  if (text(1, 3) === "PNG") {
    const size = { width: view.getUint32(16), height: view.getUint32(20) };
    return view.getUint16(24) === 0x1000 ? { ...size, greyBits: 16 } : size; // depth 16, colour type 0
  }
  if (text(0, 3) === "GIF") return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
  if (text(0, 2) === "BM" && view.getUint32(14, true) !== 12)
    return { width: view.getUint32(18, true), height: Math.abs(view.getInt32(22, true)) };
  if (text(0, 4) === "RIFF" && text(8, 4) === "WEBP") return webp(view, text(12, 4));
  return view.getUint16(0) === 0xffd8 ? jpeg(view) : null;
}

/** The frame header (SOF) of a JPEG, behind any number of other segments. */
function jpeg(view: DataView): Header | null {
  for (const { kind, start } of segments(view)) {
    const frame = kind >= 0xc0 && kind <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(kind);
    if (frame) return { width: view.getUint16(start + 7), height: view.getUint16(start + 5) };
  }
  return null;
}

/** The segments of a JPEG from its first bytes, up to those of the picture itself. */
export function* segments(view: DataView): Generator<{ kind: number; start: number; end: number }> {
  let [start, kind] = [2, 0];
  while (kind !== 0xda && start + 9 < view.byteLength && view.getUint8(start) === 0xff) {
    kind = view.getUint8(start + 1);
    const end = start + (kind === 0xff ? 1 : 2 + view.getUint16(start + 2));
    yield { kind, start, end };
    start = end;
  }
}

function webp(view: DataView, chunk: string): Header | null {
  if (chunk === "VP8 ") return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  if (chunk === "VP8L") {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  const uint24 = (at: number) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  return chunk === "VP8X" ? { width: uint24(24) + 1, height: uint24(27) + 1 } : null;
}
