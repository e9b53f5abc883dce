// The samples of the first frame of a DICOM file: as stored, in RLE, or in JPEG, which the browser decodes.
import dicomParser, { type DataSet } from "dicom-parser";
import { Failure } from "./errors";
import { withoutProfile } from "./profile";

export interface Frame {
  width: number;
  height: number;
  samples: ArrayLike<number>;
  /** Samples a pixel. */
  channels: number;
  /** Whether all of a channel comes before the next, and not all of a pixel. */
  planes: boolean;
  bits: number;
  photometric: string;
}

const PIXELS = "x7fe00010";
const [BIG_ENDIAN, RLE, JPEG] = ["1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"];

export async function firstFrame(set: DataSet, syntax: string, width: number, height: number): Promise<Frame> {
  const channels = set.uint16("x00280002") ?? 1;
  const allocated = set.uint16("x00280100") ?? 8;
  const photometric = (set.string("x00280004") ?? "").trim();
  const known = /^(MONOCHROME[12]|RGB|PALETTE COLOR|YBR_FULL(_422)?)$/.test(photometric);
  if (!known || ![8, 16].includes(allocated))
    throw new Failure(
      "dicomSyntax",
      `This DICOM file holds ${photometric || "an unnamed kind of image"} of ${allocated} bits, which is not read here. Save it as grey or RGB of 8 or 16 bits.`,
    );
  const described = { width, height, channels, bits: set.uint16("x00280101") ?? allocated, photometric };
  if (syntax === JPEG) return { ...described, planes: false, ...(await decoded(set, width, height, channels)) };
  const half = photometric === "YBR_FULL_422" && syntax !== RLE; // two pixels share their colour
  const count = width * height * (half ? 2 : channels);
  const bigEndian = syntax === BIG_ENDIAN;
  const swapped = bigEndian && allocated === 8 && set.elements[PIXELS].vr === "OW"; // bytes in words, and these turned
  const length = (count * allocated) / 8 + (swapped ? count % 2 : 0);
  const bytes = syntax === RLE ? unrolled(set, count, allocated / 8) : stored(set, length);
  const samples = allocated === 16 ? words(bytes, bigEndian) : swapped ? bytes.map((_, at) => bytes[at ^ 1]) : bytes;
  return {
    ...described,
    samples: signed(samples, set, described.bits),
    planes: syntax === RLE || (channels > 1 && set.uint16("x00280006") === 1),
  };
}

/** Readers of red, green and blue by the number of the pixel. */
export function channelsOf(frame: Frame, set: DataSet): Record<"red" | "green" | "blue", (at: number) => number> {
  const { samples, channels, planes, photometric, width, height } = frame;
  const sample = (channel: number) => (at: number) =>
    samples[planes ? channel * width * height + at : at * channels + channel];
  if (photometric === "PALETTE COLOR") {
    const [red, green, blue] = [1, 2, 3].map((colour) => palette(set, colour)) as [Look, Look, Look];
    const index = sample(0);
    return { red: (at) => red(index(at)), green: (at) => green(index(at)), blue: (at) => blue(index(at)) };
  }
  if (channels === 1) return { red: sample(0), green: sample(0), blue: sample(0) };
  const narrow = frame.bits > 8 ? 255 / (2 ** frame.bits - 1) : 1;
  if (photometric === "RGB") {
    const [red, green, blue] = [0, 1, 2].map((channel) => scaled(sample(channel), narrow)) as [Look, Look, Look];
    return { red, green, blue };
  }
  const half = photometric === "YBR_FULL_422" && samples.length === width * height * 2;
  const pair = (at: number) => (at >> 1) * 4; // Y Y Cb Cr
  const y: Look = half ? (at) => samples[pair(at) + (at & 1)] : sample(0);
  const cb: Look = half ? (at) => samples[pair(at) + 2] - 128 : (at) => sample(1)(at) - 128;
  const cr: Look = half ? (at) => samples[pair(at) + 3] - 128 : (at) => sample(2)(at) - 128;
  return {
    red: (at) => y(at) + 1.402 * cr(at),
    green: (at) => y(at) - 0.344136 * cb(at) - 0.714136 * cr(at),
    blue: (at) => y(at) + 1.772 * cb(at),
  };
}

type Look = (at: number) => number;

function scaled(read: Look, by: number): Look {
  return by === 1 ? read : (at) => read(at) * by;
}

/** A colour (1 red, 2 green, 3 blue) of the palette by index, 0 to 255. */
function palette(set: DataSet, colour: number): Look {
  const [descriptor, data] = [`x0028110${colour}`, `x0028120${colour}`];
  const element = set.elements[data];
  if (!element) throw new Failure("brokenDicom");
  const entries = set.uint16(descriptor, 0) || 65_536;
  const first = set.uint16(descriptor, 1) ?? 0;
  const wide = element.length >= entries * 2;
  const read = (index: number) =>
    wide ? (set.uint16(data, index) ?? 0) / 256 : (set.byteArray[element.dataOffset + index] ?? 0);
  const table = Uint8Array.from({ length: entries }, (_, index) => Math.floor(read(index)));
  return (index) => table[Math.min(Math.max(index - first, 0), entries - 1)];
}

function stored(set: DataSet, length: number): Uint8Array {
  const element = set.elements[PIXELS];
  if (!element || element.length < length) throw new Failure("brokenDicom");
  const start = set.byteArray.byteOffset + element.dataOffset;
  return new Uint8Array(set.byteArray.buffer.slice(start, start + length) as ArrayBuffer);
}

function words(bytes: Uint8Array, bigEndian: boolean): Uint16Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Uint16Array.from({ length: bytes.byteLength / 2 }, (_, at) => view.getUint16(at * 2, !bigEndian));
}

/** Samples of `bits`, without what may stand above them, negative where the file has signed numbers. */
function signed(samples: Uint8Array | Uint16Array, set: DataSet, bits: number): ArrayLike<number> {
  const spare = 32 - bits;
  if (set.uint16("x00280103") === 1) return Int16Array.from(samples, (sample) => (sample << spare) >> spare);
  return bits === samples.BYTES_PER_ELEMENT * 8 ? samples : samples.map((sample) => (sample << spare) >>> spare);
}

function compressedFrame(set: DataSet): Uint8Array {
  try {
    const element = set.elements[PIXELS] as dicomParser.Element;
    const table = element.basicOffsetTable?.length ? element.basicOffsetTable : undefined;
    const frames = set.intString("x00280008") ?? 1;
    if (table) return dicomParser.readEncapsulatedImageFrame(set, element, 0, table) as Uint8Array;
    const fragments = frames === 1 ? (element.fragments?.length ?? 0) : 1;
    return dicomParser.readEncapsulatedPixelDataFromFragments(set, element, 0, fragments) as Uint8Array;
  } catch {
    throw new Failure("brokenDicom");
  }
}

/** RLE of DICOM PS3.5 annex G: a segment for each byte of each channel, the high byte first. */
function unrolled(set: DataSet, count: number, bytesEach: number): Uint8Array {
  const packed = compressedFrame(set);
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const segments = view.getUint32(0, true);
  const pixels = (count * bytesEach) / segments;
  if (segments > 15 || !Number.isInteger(pixels)) throw new Failure("brokenDicom");
  const bytes = new Uint8Array(count * bytesEach);
  for (let segment = 0; segment < segments; segment++) {
    const from = view.getUint32(4 + segment * 4, true);
    const channel = Math.floor(segment / bytesEach);
    const low = bytesEach - 1 - (segment % bytesEach); // little endian
    const start = channel * pixels * bytesEach + low;
    if (!unpackBits(packed, from, bytes, start, bytesEach, pixels)) throw new Failure("brokenDicom");
  }
  return bytes;
}

/** Writes `wanted` bytes from PackBits, each `step` after the last; false where the data end before. */
function unpackBits(
  from: Uint8Array,
  at: number,
  to: Uint8Array,
  start: number,
  step: number,
  wanted: number,
): boolean {
  let written = 0;
  while (written < wanted) {
    if (at >= from.length) return false;
    const head = (from[at++] << 24) >> 24;
    if (head === -128) continue;
    const length = head < 0 ? 1 - head : head + 1;
    for (let index = 0; index < length && written < wanted; index++, written++)
      to[start + written * step] = from[head < 0 ? at : at + index];
    at += head < 0 ? 1 : length;
  }
  return true;
}

/** Adobe's segment of a JPEG that says "not YCbCr": a DICOM file says so elsewhere. One of its own comes later and wins. */
const IS_RGB = Uint8Array.of(0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, 0);

/** A JPEG of 8 bits, by the browser's decoder, which gives RGB. */
async function decoded(set: DataSet, width: number, height: number, channels: number) {
  const photometric = (set.string("x00280004") ?? "").trim();
  const bytes = compressedFrame(set) as Uint8Array<ArrayBuffer>;
  const plain = withoutProfile(new Blob([bytes]), bytes);
  const parts = photometric === "RGB" ? [plain.slice(0, 2), IS_RGB, plain.slice(2)] : [plain];
  const jpeg = new Blob(parts, { type: "image/jpeg" });
  const bitmap = await createImageBitmap(jpeg, { colorSpaceConversion: "none" }).catch(() => {
    throw new Failure("brokenDicom");
  });
  if (bitmap.width !== width || bitmap.height !== height) throw new Failure("brokenDicom");
  const context = new OffscreenCanvas(width, height).getContext("2d") as OffscreenCanvasRenderingContext2D;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const samples = new Uint8Array(width * height * channels);
  for (let at = 0; at < samples.length; at++) samples[at] = data[Math.floor(at / channels) * 4 + (at % channels)];
  return { samples, photometric: channels === 1 ? photometric : "RGB" };
}
