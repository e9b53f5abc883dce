import dicomParser, { type DataSet } from "dicom-parser";
import { describe, expect, test } from "vitest";
import { spacingOf } from "../../src/dicom";
import { channelsOf, firstFrame } from "../../src/dicom-frame";
import { levelsOf, windowed } from "../../src/dicom-levels";

const EXPLICIT = "1.2.840.10008.1.2.1";
const RLE = "1.2.840.10008.1.2.5";

/** An element in explicit little endian: group, element, representation, value. */
type Element = [group: number, element: number, vr: string, value: string | number | Uint8Array];

/** A DICOM file as it would be read, from its elements in order of their tags. */
function file(elements: Element[], syntax = EXPLICIT): DataSet {
  const parts = [new Uint8Array(128), text("DICM"), ...[[2, 0x10, "UI", syntax] as Element, ...elements].map(encoded)];
  return dicomParser.parseDicom(Uint8Array.from(parts.flatMap((part) => [...part])));
}

function encoded([group, element, vr, value]: Element): Uint8Array {
  const body = value instanceof Uint8Array ? value : typeof value === "number" ? little(value, 2) : text(value);
  const even = body.length % 2 ? Uint8Array.of(...body, 32) : body;
  const open = vr === "OB" && syntaxOf(body) === RLE;
  const length = /OB|OW|SQ/.test(vr)
    ? [0, 0, ...(open ? [255, 255, 255, 255] : little(even.length, 4))]
    : little(even.length, 2);
  return Uint8Array.of(...little(group, 2), ...little(element, 2), ...text(vr), ...length, ...even);
}

const syntaxOf = (body: Uint8Array) => (body[0] === 0xfe && body[1] === 0xff ? RLE : EXPLICIT);
const text = (of: string) => Uint8Array.from(of, (sign) => sign.charCodeAt(0));
const little = (value: number, size: number) => Uint8Array.from({ length: size }, (_, at) => (value >> (8 * at)) & 255);

function image(rows: number, columns: number, pixels: Uint8Array, more: Element[] = []): Element[] {
  const given = new Set(more.map(([group, element]) => `${group},${element}`));
  const usual: Element[] = [
    [0x28, 2, "US", 1],
    [0x28, 4, "CS", "MONOCHROME2"],
    [0x28, 0x10, "US", rows],
    [0x28, 0x11, "US", columns],
    [0x28, 0x100, "US", 8],
    [0x28, 0x101, "US", 8],
    [0x28, 0x103, "US", 0],
  ];
  const all = [...usual.filter(([group, element]) => !given.has(`${group},${element}`)), ...more];
  all.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return [...all, [0x7fe0, 0x10, "OW", pixels]];
}

const BARE = file([[0x28, 2, "US", 1]]);

/** Red, green and blue of every pixel. */
async function colours(set: DataSet, width: number, height: number, syntax = EXPLICIT): Promise<number[][]> {
  const frame = await firstFrame(set, syntax, width, height);
  const { red, green, blue } = channelsOf(frame, set);
  return Array.from({ length: width * height }, (_, at) => [red(at), green(at), blue(at)]);
}

describe("the window of PS3.3 C.11.2.1", () => {
  test("LINEAR: from center - 0.5 - (width - 1) / 2 to center - 0.5 + (width - 1) / 2", () => {
    const level = windowed(100, 51, "LINEAR");
    expect([74, 74.5, 99.5, 124.5, 130].map(level)).toEqual([0, 0, 0.5, 1, 1]);
  });
  test("LINEAR_EXACT: from center - width / 2 to center + width / 2", () => {
    expect([50, 75, 100, 150].map(windowed(100, 100, "LINEAR_EXACT"))).toEqual([0, 0.25, 0.5, 1]);
  });
  test("SIGMOID: a half at the center", () => {
    const level = windowed(10, 4, "SIGMOID");
    expect(level(10)).toBe(0.5);
    expect(level(11)).toBeCloseTo(1 / (1 + Math.exp(-1)), 12);
  });
  test("a window one wide is a step", () => {
    expect([9.5, 9.6].map(windowed(10, 1, "LINEAR"))).toEqual([0, 1]);
  });
});

describe("grey levels", () => {
  const samples = Uint16Array.of(100, 200, 300);
  const twelve = { samples, bits: 12, photometric: "MONOCHROME2" };

  test("go through slope and intercept, then the first window", () => {
    const set = file([
      [0x28, 0x1050, "DS", "500\\40"],
      [0x28, 0x1051, "DS", "401\\80"],
      [0x28, 0x1052, "DS", "100"],
      [0x28, 0x1053, "DS", "2"],
    ]);
    const level = levelsOf(set, twelve); // 300, 500 and 700 in a window from 299.5 to 699.5
    const levels = Array.from(samples, (sample) => level(sample).toFixed(9));
    expect(levels).toEqual([0.5 / 400, 200.5 / 400, 1].map((share) => (share * 255).toFixed(9)));
  });
  test("without a window are stretched from their range, but 8 bits stay", () => {
    expect(Array.from(samples, levelsOf(BARE, { ...twelve, samples: Uint16Array.of(100, 500) }))).toEqual([
      0, 63.75, 127.5,
    ]);
    expect(levelsOf(BARE, { ...twelve, samples: Uint8Array.of(3, 200), bits: 8 })(77)).toBe(77);
  });
  test("of 8 signed bits are stretched, too", () => {
    const signed = { samples: Int8Array.of(-128, 127), bits: 8, photometric: "MONOCHROME2" };
    expect([-128, 0, 127].map(levelsOf(BARE, signed))).toEqual([0, 128, 255]);
  });
  test("of MONOCHROME1 are turned", () => {
    expect(levelsOf(BARE, { samples: Uint8Array.of(0, 255), bits: 8, photometric: "MONOCHROME1" })(55)).toBe(200);
  });
});

describe("samples", () => {
  test("of 12 bits in 16, signed, lose what stands above them", async () => {
    const pixels = Uint8Array.of(0xff, 0x0f, 0x01, 0xf0); // -1, and 1 under four bits of something else
    const more: Element[] = [
      [0x28, 0x100, "US", 16],
      [0x28, 0x101, "US", 12],
      [0x28, 0x103, "US", 1],
    ];
    const { samples } = await firstFrame(file(image(1, 2, pixels, more)), EXPLICIT, 2, 1);
    expect(Array.from(samples)).toEqual([-1, 1]);
  });
  test("of RGB come pixel by pixel or plane by plane", async () => {
    const rgb: Element[] = [
      [0x28, 2, "US", 3],
      [0x28, 4, "CS", "RGB"],
    ];
    const mixed = file(image(1, 2, Uint8Array.of(1, 2, 3, 4, 5, 6), [...rgb, [0x28, 6, "US", 0]]));
    const planes = file(image(1, 2, Uint8Array.of(1, 4, 2, 5, 3, 6), [...rgb, [0x28, 6, "US", 1]]));
    for (const set of [mixed, planes])
      expect(await colours(set, 2, 1)).toEqual([
        [1, 2, 3],
        [4, 5, 6],
      ]);
  });
  test("of a palette are looked up, the upper 8 bits of 16", async () => {
    const table = (...entries: number[]) => Uint8Array.from(entries.flatMap((entry) => [0, entry]));
    const descriptor = Uint8Array.of(2, 0, 5, 0, 16, 0); // two entries, the first for index 5, of 16 bits
    const set = file(
      image(1, 2, Uint8Array.of(5, 6), [
        [0x28, 4, "CS", "PALETTE COLOR"],
        ...[0x1101, 0x1102, 0x1103].map((tag): Element => [0x28, tag, "US", descriptor]),
        [0x28, 0x1201, "OW", table(10, 20)],
        [0x28, 0x1202, "OW", table(30, 40)],
        [0x28, 0x1203, "OW", table(50, 60)],
      ]),
    );
    expect(await colours(set, 2, 1)).toEqual([
      [10, 30, 50],
      [20, 40, 60],
    ]);
  });
  test("that are fewer than the size promises are refused", async () => {
    const set = file(image(4, 4, Uint8Array.of(1, 2)));
    await expect(firstFrame(set, EXPLICIT, 4, 4)).rejects.toThrow(/damaged/);
  });
  test("of one bit are refused in words", async () => {
    const set = file(image(1, 2, Uint8Array.of(1, 0), [[0x28, 0x100, "US", 1]]));
    await expect(firstFrame(set, EXPLICIT, 2, 1)).rejects.toThrow(/MONOCHROME2 of 1 bits/);
  });
  test("in RLE are unrolled: literal bytes, and one repeated", async () => {
    const packed = Uint8Array.of(2, 7, 8, 9, 254, 5, 0, 0); // three literal, then 3 times 5
    const segment = Uint8Array.of(...little(1, 4), ...little(64, 4), ...new Uint8Array(56), ...packed);
    const item = (body: Uint8Array) => [0xfe, 0xff, 0x00, 0xe0, ...little(body.length, 4), ...body];
    const end = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
    const elements = image(2, 3, new Uint8Array());
    elements[elements.length - 1] = [
      0x7fe0,
      0x10,
      "OB",
      Uint8Array.of(...item(new Uint8Array()), ...item(segment), ...end),
    ];
    const { samples } = await firstFrame(file(elements, RLE), RLE, 3, 2);
    expect(Array.from(samples)).toEqual([7, 8, 9, 5, 5, 5]);
  });
});

test("the spacing is (down, across), from the pixels, not from the detector; without both values, or with zero, none", () => {
  expect(spacingOf(file([[0x28, 0x30, "DS", "0.2\\0.3"]]))).toEqual([0.2, 0.3]);
  expect(spacingOf(file([[0x18, 0x1164, "DS", "0.1\\0.1"]]))).toBeNull();
  expect(spacingOf(file([[0x28, 0x30, "DS", "0.2"]]))).toBeNull();
  expect(spacingOf(file([[0x28, 0x30, "DS", "0\\0"]]))).toBeNull();
  expect(spacingOf(BARE)).toBeNull();
});
