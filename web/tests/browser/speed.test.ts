/** How fast the page is, told by how many times as slow as ONNX Runtime itself: other work slows both. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { PYTHON, ROOT } from "./harness";

const [ROUNDS, CALLS] = [6, 6];
/** The fastest quarter of the times is compared: those that other programs disturbed least. */
const QUARTER = 0.25;
const measured: { rows: { name: string; threads: number; fps: number }[] } = JSON.parse(
  readFileSync(join(ROOT, "results", "web.json"), "utf8"),
);

type Times = (threads: number, calls: number) => Promise<number[]>;
const started: ChildProcess[] = [];
let inPage: Times;
let native: Times;

/** A program that answers each line, "THREADS CALLS", with times in ms, or objects that have them as `run`. */
function runner(command: string, ...flags: string[]): Times {
  const environment = { ...process.env, PYTHONPATH: ROOT };
  const program = spawn(command, flags, { cwd: ROOT, env: environment, stdio: ["pipe", "pipe", "inherit"] });
  started.push(program);
  const lines = createInterface(program.stdout as Readable)[Symbol.asyncIterator]();
  return async (threads, calls) => {
    (program.stdin as Writable).write(`${threads} ${calls}\n`);
    const times = JSON.parse((await lines.next()).value) as (number | { run: number })[];
    return times.map((time) => (typeof time === "number" ? time : time.run));
  };
}

beforeAll(() => {
  const image = join(inject("drawn"), "square.png");
  inPage = runner("node", join(import.meta.dirname, "speed.mjs"), inject("url"), image);
  native = runner(PYTHON, join(import.meta.dirname, "native.py"), image);
});
afterAll(() => {
  for (const { stdin } of started) stdin?.end();
});

const fast = (times: number[]): number => times.toSorted((a, b) => a - b)[Math.floor(times.length * QUARTER)] as number;

test.each([
  [1, 12],
  [2, 20],
])(
  "with %i threads the page is no slower against ONNX Runtime than %i frames a second on an idle machine",
  async (threads, asked) => {
    const idle = measured.rows.find((row) => row.name === "ONNX Runtime" && row.threads === threads)?.fps as number;
    const [web, own]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      web.push(...(await inPage(threads, CALLS)));
      own.push(...(await native(threads, CALLS)));
    }
    const slower = fast(web) / fast(own);
    console.log({ threads, page_ms: fast(web), native_ms: fast(own), slower, most: idle / asked });
    expect(slower).toBeLessThan(idle / asked);
  },
);
