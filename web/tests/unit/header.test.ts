import { deflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { headerOf } from "../../src/header";

/** The first bytes of a file, from parts, filled up to 40. */
function bytes(...parts: (number[] | string)[]): Uint8Array {
  const all = parts.flatMap((part) => (typeof part === "string" ? [...part].map((sign) => sign.charCodeAt(0)) : part));
  return Uint8Array.from({ length: Math.max(40, all.length) }, (_, at) => all[at] ?? 0);
}

test("a PNG tells its size in its first chunk, and whether it is grey of 16 bits", () => {
  const head = [0, 0, 0, 13, ..."IHDR"].map((part) => (typeof part === "string" ? part.charCodeAt(0) : part));
  const size = [0, 0, 0x27, 0x10, 0, 0, 0, 7]; // 10,000 x 7
  expect(headerOf(bytes([0x89], "PNG\r\n\x1a\n", head, size, [8, 2]))).toEqual({ width: 10_000, height: 7 });
  expect(headerOf(bytes([0x89], "PNG\r\n\x1a\n", head, size, [16, 0]))).toMatchObject({ greyBits: 16 });
});

test("a JPEG tells its size behind other segments, progressive or not", () => {
  const app = [0xff, 0xe1, 0, 6, 1, 2, 3, 4]; // and a table, whose number looks like that of a frame
  const table = [0xff, 0xc4, 0, 4, 9, 9];
  for (const frame of [0xc0, 0xc2])
    expect(headerOf(bytes([0xff, 0xd8], app, table, [0xff, frame, 0, 17, 8, 0x02, 0x58, 0x03, 0x20]))).toEqual({
      width: 800,
      height: 600,
    });
});

test("a JPEG without a frame in the bytes at hand, and anything else, gives nothing", () => {
  expect(headerOf(bytes([0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff]))).toBeNull();
  expect(headerOf(bytes("Dear colleague, here is the letter that you have asked for."))).toBeNull();
  expect(headerOf(Uint8Array.of(0xff, 0xd8))).toBeNull();
  expect(headerOf(new Uint8Array(deflateSync("x".repeat(99))))).toBeNull();
});

test("GIF, BMP (also upside down) and the three kinds of WebP tell theirs", () => {
  expect(headerOf(bytes("GIF89a", [0x20, 3, 0x58, 2]))).toEqual({ width: 800, height: 600 });
  const bmp = (height: number[]) => bytes("BM", Array(16).fill(0), [0x20, 3, 0, 0], height);
  expect(headerOf(bmp([0x58, 2, 0, 0]))).toEqual({ width: 800, height: 600 });
  expect(headerOf(bmp([0xa8, 0xfd, 0xff, 0xff]))).toEqual({ width: 800, height: 600 });
  const webp = (kind: string, rest: number[]) =>
    headerOf(bytes("RIFF", [0, 0, 0, 0], "WEBP", kind, [0, 0, 0, 0], rest));
  const size = { width: 800, height: 600 };
  expect(webp("VP8 ", [0, 0, 0, 0x9d, 1, 0x2a, 0x20, 3, 0x58, 2])).toEqual(size);
  const bits = 799 | (599 << 14);
  expect(webp("VP8L", [0x2f, bits & 255, (bits >> 8) & 255, (bits >> 16) & 255, (bits >>> 24) & 255])).toEqual(size);
  expect(webp("VP8X", [0, 0, 0, 0, 0x1f, 3, 0, 0x57, 2, 0])).toEqual(size);
});
