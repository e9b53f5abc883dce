// A file without its colour profile, which WebKit applies where it is asked not to: Python takes the pixels as they are.
import { segments } from "./header";

const ICC = 0xe2; // the segment of a JPEG that may hold a profile
const OF_PNG = ["gAMA", "cHRM", "sRGB", "iCCP", "cICP"];

/** A PNG or JPEG without what tells a screen how to show its colours; any other file as it is. `head`: its first bytes. */
export function withoutProfile(file: Blob, head: Uint8Array): Blob {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const text = (at: number, length: number) => String.fromCharCode(...head.subarray(at, at + length));
  const kept: Blob[] = [];
  let from = 0;
  const drop = (start: number, end: number): void => {
    kept.push(file.slice(from, start));
    from = end;
  };
  if (text(1, 3) === "PNG") {
    for (let at = 8; at + 8 <= head.length && text(at + 4, 4) !== "IDAT"; ) {
      const end = at + 12 + view.getUint32(at); // length, kind and checksum have four bytes each
      if (OF_PNG.includes(text(at + 4, 4))) drop(at, end);
      at = end;
    }
  } else if (head[0] === 0xff && head[1] === 0xd8) {
    for (const { kind, start, end } of segments(view))
      if (kind === ICC && text(start + 4, 11) === "ICC_PROFILE") drop(start, end);
  }
  return from === 0 ? file : new Blob([...kept, file.slice(from)], { type: file.type });
}
