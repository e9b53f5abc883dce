// How the page is built: ONNX Runtime beside it with its WASM packed, and a service worker that knows every file.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const here = import.meta.dirname;
const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
const isolated = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
/** Kept once the page is ready, or when it asks for them: two models of three, examples, icons, the reader of DICOM. */
const late = /^models\/(?!polyp\.(onnx|json))|^icon-|^assets\/dicom-|^licences/;

/** Puts ONNX Runtime under `public/ort/`; packed, so that a host which packs nothing still sends 3.4 MB, not 13.5. */
function onnxRuntime(): Plugin {
  return {
    name: "onnx-runtime",
    buildStart() {
      const folder = resolve(here, "public/ort");
      mkdirSync(folder, { recursive: true });
      const stem = "ort-wasm-simd-threaded";
      writeFileSync(join(folder, `${stem}.mjs`), readFileSync(join(runtime, `${stem}.mjs`)));
      writeFileSync(
        join(folder, `${stem}.wasm.gz`),
        gzipSync(readFileSync(join(runtime, `${stem}.wasm`)), { level: 9 }),
      );
    },
  };
}

/** Writes the list of all files, a version made from what is in them, and the page's policy into the service worker. */
function precache(): Plugin {
  return {
    name: "precache",
    apply: "build",
    enforce: "post",
    closeBundle() {
      const dist = resolve(here, "dist");
      const files = readdirSync(dist, { recursive: true, encoding: "utf8" })
        .map((file) => relative(dist, join(dist, file)).replaceAll("\\", "/"))
        .filter((file) => file !== "sw.js" && statSync(join(dist, file)).isFile())
        .sort();
      const digest = createHash("sha256");
      for (const file of files) digest.update(file).update(readFileSync(join(dist, file)));
      const policy = /Content-Security-Policy"\s+content="([^"]+)"/.exec(
        readFileSync(join(dist, "index.html"), "utf8"),
      );
      if (!policy) throw new Error("index.html has no Content-Security-Policy");
      const list = {
        policy: policy[1],
        version: digest.digest("hex").slice(0, 16),
        now: ["./", ...files.filter((file) => !late.test(file))],
        later: files.filter((file) => late.test(file)),
      };
      const worker = join(dist, "sw.js");
      writeFileSync(worker, `self.files = ${JSON.stringify(list)};\n${readFileSync(worker, "utf8")}`);
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [onnxRuntime(), precache()],
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser"] },
  server: { headers: isolated },
  preview: { headers: isolated },
  worker: { format: "es" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: false,
    rolldownOptions: {
      input: { index: resolve(here, "index.html"), sw: resolve(here, "src/sw.ts") },
      output: { entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  test: { include: ["tests/unit/**/*.test.ts"] },
});
