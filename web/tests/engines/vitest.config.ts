import { resolve } from "node:path";
import { defineConfig, mergeConfig } from "vitest/config";
import ofBrowser from "../browser/vitest.config";

export default mergeConfig(
  ofBrowser,
  defineConfig({
    test: { root: import.meta.dirname, globalSetup: resolve(import.meta.dirname, "../browser/setup.ts") },
  }),
);
