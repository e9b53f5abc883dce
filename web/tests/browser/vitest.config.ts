import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["*.test.ts"],
    globalSetup: "setup.ts",
    fileParallelism: false, // two cores: browsers beside each other would measure each other
    testTimeout: 120_000,
    hookTimeout: 90_000,
  },
});
