// The list of all files that the service worker keeps: written into sw.js when the page is built.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

/** Kept once the page is ready, or when it asks for them: models, examples, icons, the reader of DICOM. */
const LATE = /^models\/|^icon-|^assets\/dicom-|^licences/;

export interface Files {
  policy: string;
  version: string;
  /** Address and integrity of what the page needs at once, and of the rest. */
  now: Record<string, string>;
  later: Record<string, string>;
}

/** Lists the files of a folder in its sw.js: with a version made from all that is in them, and the page's policy. */
export function writeList(folder: string): void {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => file !== "sw.js" && statSync(join(folder, file)).isFile())
    .sort();
  const worker = readFileSync(join(folder, "sw.js"), "utf8").replace(/^self\.files = .*\n/, "");
  const digest = createHash("sha256").update(worker);
  for (const file of files) digest.update(file).update(readFileSync(join(folder, file)));
  const html = readFileSync(join(folder, "index.html"), "utf8");
  const policy = /Content-Security-Policy"\s+content="([^"]+)"/.exec(html)?.[1];
  if (!policy) throw new Error("index.html has no Content-Security-Policy");
  const integrities = files.map((file) => [file, integrity(folder, file)] as const);
  const list: Files = {
    policy,
    version: digest.digest("hex").slice(0, 16),
    now: Object.fromEntries([
      ["./", integrity(folder, "index.html")],
      ...integrities.filter(([file]) => !LATE.test(file)),
    ]),
    later: Object.fromEntries(integrities.filter(([file]) => LATE.test(file))),
  };
  writeFileSync(join(folder, "sw.js"), `self.files = ${JSON.stringify(list)};\n${worker}`);
}

/** What a browser holds a file against: either of two hashes for a packed one, which some hosts have browsers unpack. */
function integrity(folder: string, file: string): string {
  const bytes = readFileSync(join(folder, file));
  const forms = file.endsWith(".gz") ? [bytes, gunzipSync(bytes)] : [bytes];
  return forms.map((form) => `sha256-${createHash("sha256").update(form).digest("base64")}`).join(" ");
}
