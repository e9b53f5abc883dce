import { crc32, inflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { greyPng } from "../../src/png";

/** The chunks of a PNG by kind, each of which must have the checksum that it says. */
function chunks(png: Buffer): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const [kind, data] = [png.toString("latin1", at + 4, at + 8), png.subarray(at + 8, at + 8 + length)];
    expect(png.readUInt32BE(at + 8 + length), kind).toBe(crc32(png.subarray(at + 4, at + 8 + length)));
    found.set(kind, data);
    at += 12 + length;
  }
  return found;
}

test.each([
  [1, 1],
  [5, 3],
  [257, 300],
])("levels of %i by %i pixels are in the PNG as they are, one channel of 8 bits", async (width, height) => {
  const levels = Uint8Array.from({ length: width * height }, (_, at) => (at * 7919) % 256);
  const blob = await greyPng(levels, width);
  const png = Buffer.from(await blob.arrayBuffer());
  expect(png.toString("latin1", 0, 8)).toBe("\x89PNG\r\n\x1a\n");
  expect(blob.type).toBe("image/png");
  const found = chunks(png);
  expect([...found.keys()]).toEqual(["IHDR", "IDAT", "IEND"]);
  const header = found.get("IHDR") as Buffer;
  expect([header.readUInt32BE(0), header.readUInt32BE(4), ...header.subarray(8)]).toEqual([
    width,
    height,
    8,
    0,
    0,
    0,
    0,
  ]);
  const rows = inflateSync(found.get("IDAT") as Buffer);
  const expected = Array.from({ length: height }, (_, row) => [0, ...levels.subarray(row * width, (row + 1) * width)]);
  expect([...rows]).toEqual(expected.flat());
});
