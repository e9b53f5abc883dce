// The first frame of a DICOM file as a picture: rescaled and windowed as pydicom does, with its spacing.
import dicomParser, { type DataSet } from "dicom-parser";
import { channelsOf, type Frame, firstFrame } from "./dicom-frame";
import { type Levels, levelsOf } from "./dicom-levels";
import { Failure } from "./errors";
import { LARGEST } from "./header";
import type { Spacing } from "./protocol";

/** Syntaxes that are kept as they are stored; all others are unpacked by `dicom-frame.ts`, or named to the reader. */
const NAMES: Record<string, string> = {
  "1.2.840.10008.1.2.1.99": "deflate",
  "1.2.840.10008.1.2.4.51": "JPEG of 12 bits",
  "1.2.840.10008.1.2.4.57": "lossless JPEG",
  "1.2.840.10008.1.2.4.70": "lossless JPEG",
  "1.2.840.10008.1.2.4.80": "JPEG-LS",
  "1.2.840.10008.1.2.4.81": "JPEG-LS",
  "1.2.840.10008.1.2.4.90": "JPEG 2000",
  "1.2.840.10008.1.2.4.91": "JPEG 2000",
  "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000",
  "1.2.840.10008.1.2.4.202": "High-Throughput JPEG 2000",
  "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000",
};
const READABLE = /^1\.2\.840\.10008\.1\.2(\.1|\.2|\.5|\.4\.50)?$/;
const CENTIMETRES = 3; // PhysicalUnitsXDirection of an ultrasound region

export interface Dicom {
  bitmap: ImageBitmap;
  spacing: Spacing | null;
  frames: number;
}

export async function readDicom(bytes: Uint8Array<ArrayBuffer>): Promise<Dicom> {
  const set = parsed(bytes);
  const syntax = set.string("x00020010") ?? "";
  if (!set.elements.x7fe00010) throw new Failure("dicomWithoutPixels");
  if (!READABLE.test(syntax))
    throw new Failure("dicomSyntax", compressed(NAMES[syntax] ?? (syntax || "an unnamed way")));
  const height = set.uint16("x00280010") ?? 0;
  const width = set.uint16("x00280011") ?? 0;
  if (width * height > LARGEST) throw new Failure("tooLarge");
  if (width * height === 0) throw new Failure("brokenDicom");
  const frame = await firstFrame(set, syntax, width, height);
  const pixels = new ImageData(rgba(frame, set), width, height);
  const bitmap = await createImageBitmap(pixels, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  return { bitmap, spacing: spacingOf(set), frames: set.intString("x00280008") ?? 1 };
}

function parsed(bytes: Uint8Array): DataSet {
  try {
    return dicomParser.parseDicom(bytes);
  } catch (error) {
    const deflated = /pako|inflate/i.test(String(error instanceof Error ? error.message : error));
    throw deflated ? new Failure("dicomSyntax", compressed("deflate")) : new Failure("brokenDicom");
  }
}

function compressed(how: string): string {
  return `This DICOM file is compressed with ${how}, which browsers cannot read. Save it uncompressed, for example with: gdcmconv --raw IN OUT.`;
}

function rgba(frame: Frame, set: DataSet): Uint8ClampedArray<ArrayBuffer> {
  const { red, green, blue } = channelsOf(frame, set);
  const levels: Levels = frame.photometric.startsWith("MONOCHROME") ? levelsOf(set, frame) : (sample) => sample;
  const painted = new Uint8ClampedArray(frame.width * frame.height * 4);
  for (let at = 0, to = 0; to < painted.length; at++, to += 4) {
    painted[to] = levels(red(at)); // clamped and rounded on writing
    painted[to + 1] = levels(green(at));
    painted[to + 2] = levels(blue(at));
    painted[to + 3] = 255;
  }
  return painted;
}

/** Millimetres a pixel, (down, across): PixelSpacing, or of the first ultrasound region; not that at a detector. */
export function spacingOf(set: DataSet): Spacing | null {
  if (set.numStringValues("x00280030") === 2) {
    const [down, across] = [set.floatString("x00280030", 0), set.floatString("x00280030", 1)];
    if (down && across && down > 0 && across > 0) return [down, across];
  }
  const region = set.elements.x00186011?.items?.[0]?.dataSet;
  const across = region?.double("x0018602c");
  const down = region?.double("x0018602e");
  const inCentimetres = region?.uint16("x00186024") === CENTIMETRES && region.uint16("x00186026") === CENTIMETRES;
  return inCentimetres && down && across ? [Math.abs(down) * 10, Math.abs(across) * 10] : null;
}
