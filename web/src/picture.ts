// A file as an upright bitmap, whatever kind of image it is; its size is known before it is decoded.
import { Failure } from "./errors";
import { headerOf, LARGEST, LONGEST } from "./header";
import { withoutProfile } from "./profile";
import type { Spacing } from "./protocol";

export interface Picture {
  bitmap: ImageBitmap;
  spacing: Spacing | null;
  /** What to know of how it was read; empty if nothing. */
  note: string;
}

const HEAD = 512 * 1024; // bytes; in front of a JPEG's size there may be a preview and a colour profile
/** As Python reads it: colour profiles ignored, and the orientation of EXIF applied, which is what browsers do. */
const OPTIONS: ImageBitmapOptions = { colorSpaceConversion: "none", premultiplyAlpha: "none" };

export async function open(file: File): Promise<Picture> {
  if (file.size === 0) throw new Failure("empty");
  const head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
  if (isDicom(head)) return openDicom(file);
  const header = headerOf(head);
  if (header && header.width * header.height > LARGEST) throw new Failure("tooLarge");
  if (header && Math.max(header.width, header.height) > LONGEST) throw new Failure("tooLong");
  if (header?.greyBits) throw new Failure("deep");
  const bitmap = await createImageBitmap(withoutProfile(file, head), OPTIONS).catch(() => {
    throw new Failure(
      /\.(tiff?|svs)$/i.test(file.name) ? "tiff" : /\.(dcm|dicom)$/i.test(file.name) ? "brokenDicom" : "notImage",
    );
  });
  if (bitmap.width * bitmap.height > LARGEST) {
    bitmap.close();
    throw new Failure("tooLarge");
  }
  if (Math.max(bitmap.width, bitmap.height) > LONGEST) {
    bitmap.close();
    throw new Failure("tooLong");
  }
  return { bitmap, spacing: null, note: "" };
}

function isDicom(head: Uint8Array): boolean {
  return String.fromCharCode(...head.subarray(128, 132)) === "DICM";
}

async function openDicom(file: File): Promise<Picture> {
  const { readDicom } = await import("./dicom").catch(() => {
    throw new Failure("modelMissing");
  });
  try {
    const { bitmap, spacing, frames } = await readDicom(new Uint8Array(await file.arrayBuffer()));
    return { bitmap, spacing, note: frames > 1 ? `first of ${frames} frames` : "" };
  } catch (error) {
    throw error instanceof Failure ? error : new Failure("brokenDicom");
  }
}
