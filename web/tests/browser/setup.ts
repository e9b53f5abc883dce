/** Serves the built page by the package's own command, and draws the images that the tests give to it. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestProject } from "vitest/node";
import { BIN, PYTHON, ROOT, serveByLvunet } from "./harness";

declare module "vitest" {
  interface ProvidedContext {
    url: string;
    drawn: string;
  }
}

const SHARED = process.env.LVUNET_SHARED ?? resolve(ROOT, "..", "shared");

export default async function setup(project: TestProject): Promise<() => void> {
  const datasets = join(SHARED, "datasets");
  const real = existsSync(datasets);
  if (!real && process.env.CI === "true") throw new Error(`no real data at ${SHARED}; set LVUNET_SHARED`);
  const drawn = mkdtempSync(join(tmpdir(), "lvunet-"));
  for (const [script, ...more] of [["golden.py", ...(real ? [datasets] : [])], ["dicoms.py"], ["films.py"]])
    execFileSync(PYTHON, [join(import.meta.dirname, script as string), drawn, ...more], {
      cwd: ROOT,
      stdio: "inherit",
    });
  const server = await serveByLvunet(BIN);
  project.provide("url", server.url);
  project.provide("drawn", drawn);
  return () => {
    server.stop();
    rmSync(drawn, { recursive: true });
  };
}
