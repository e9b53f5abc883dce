// A PNG of one channel, which browsers do not write: a mask as every other program reads it.

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1;
  return rest;
});

/** Grey levels, uint8 (H, W), as a PNG of 8 bits. */
export async function greyPng(levels: Uint8Array, width: number): Promise<Blob> {
  const height = levels.length / width;
  const rows = new Uint8Array(height * (width + 1)); // before each row its filter: 0, none
  for (let row = 0; row < height; row++)
    rows.set(levels.subarray(row * width, (row + 1) * width), row * (width + 1) + 1);
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new DataView(new ArrayBuffer(13)); // its end stays 0: grey, deflate, no interlacing
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8);
  const data = await new Response(packed).arrayBuffer();
  const chunks = [chunk("IHDR", header.buffer), chunk("IDAT", data), chunk("IEND", new ArrayBuffer(0))];
  return new Blob([SIGNATURE, ...chunks], { type: "image/png" });
}

function chunk(kind: string, data: ArrayBuffer): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + data.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.byteLength);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(new Uint8Array(data), 8);
  view.setUint32(8 + data.byteLength, crc32(bytes.subarray(4, 8 + data.byteLength)));
  return bytes;
}

function crc32(bytes: Uint8Array): number {
  let rest = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) rest = REMAINDERS[(rest ^ bytes[at]) & 255] ^ (rest >>> 8);
  return ~rest >>> 0;
}
