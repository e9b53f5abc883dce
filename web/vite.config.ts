// How the page is built: ONNX Runtime beside it with its WASM packed, and a service worker that knows every file.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { writeList } from "./precache.ts";

const here = import.meta.dirname;
const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
const isolated = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

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

function precache(): Plugin {
  return { name: "precache", apply: "build", enforce: "post", closeBundle: () => writeList(resolve(here, "dist")) };
}

export default defineConfig({
  base: "./",
  plugins: [onnxRuntime(), precache()],
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser"] },
  server: { headers: isolated },
  preview: { headers: isolated },
  worker: {
    format: "es",
    // WebKit runs a worker's first file once more if another file imports from it, and the model is gone: so none does.
    rolldownOptions: {
      output: {
        codeSplitting: { groups: [{ name: "common", test: /\/src\/(errors|header|profile)\.ts$|rolldown.runtime/ }] },
      },
    },
  },
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
