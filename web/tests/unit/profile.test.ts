import { expect, test } from "vitest";
import { withoutProfile } from "../../src/profile";

const bytes = (...parts: (number[] | string)[]): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(
    parts.flatMap((part) => (typeof part === "string" ? [...part].map((sign) => sign.charCodeAt(0)) : part)),
  );

/** What is left of a file of which `seen` bytes are read first. */
async function left(file: Uint8Array<ArrayBuffer>, seen = file.length): Promise<Uint8Array> {
  return new Uint8Array(await withoutProfile(new Blob([file]), file.subarray(0, seen)).arrayBuffer());
}

const chunk = (kind: string, ...data: number[]): number[] => [
  ...bytes([0, 0, 0, data.length], kind, data, [9, 9, 9, 9]),
];
const png = (...chunks: number[][]): Uint8Array<ArrayBuffer> => bytes([0x89], "PNG\r\n\x1a\n", ...chunks);
const segment = (kind: number, data: string): number[] => [...bytes([0xff, kind, 0, data.length + 2], data)];
const jpeg = (...segments: number[][]): Uint8Array<ArrayBuffer> =>
  bytes([0xff, 0xd8], ...segments, [0xff, 0xc0, 0, 8, 8, 0, 1, 0, 1, 1], segment(0xda, "scan"), [7, 8, 0xff, 0xd9]);

test("a PNG loses gamma and profile, and nothing else", async () => {
  const [header, size, rest] = [chunk("IHDR", 1, 2, 3), chunk("pHYs", 5), [chunk("IDAT", 6, 7), chunk("IEND")]];
  const shown = png(header, chunk("gAMA", 0, 1, 134, 160), size, chunk("iCCP", 1), chunk("sRGB", 0), ...rest);
  expect(await left(shown)).toEqual(png(header, size, ...rest));
});

test("what only looks like a profile, within the picture, stays", async () => {
  const plain = png(chunk("IHDR", 1), chunk("IDAT", ...chunk("gAMA", 1)), chunk("gAMA", 1));
  expect(await left(plain)).toEqual(plain);
});

test("a JPEG loses its profile, in however many segments, and keeps its orientation", async () => {
  const [turned, other] = [segment(0xe1, "Exif orientation"), segment(0xe2, "MPF another picture")];
  const profile = segment(0xe2, "ICC_PROFILE\0\x01\x02red and blue");
  expect(await left(jpeg(turned, profile, other, profile))).toEqual(jpeg(turned, other));
});

test("a profile longer than the bytes at hand goes as a whole", async () => {
  const long = jpeg(segment(0xe2, `ICC_PROFILE\0${"x".repeat(200)}`), segment(0xe1, "Exif"));
  expect(await left(long, 40)).toEqual(jpeg(segment(0xe1, "Exif")));
});

test("a file that ends too soon, and any other kind, is the same file", async () => {
  for (const file of [bytes("RIFF????WEBP"), png([0, 0, 0]), bytes([0xff, 0xd8, 0xff]), new Uint8Array()]) {
    const blob = new Blob([file]);
    expect(withoutProfile(blob, file)).toBe(blob);
  }
});
