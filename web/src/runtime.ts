// ONNX Runtime in the worker: the WASM unpacked, the model checked, one image in, its probability out.
import * as ort from "onnxruntime-web/wasm";
import { Failure, failureOf } from "./errors";
import type { Model } from "./models";

let started = false; // ONNX Runtime starts once in a worker, and then needs its WASM no more

/** Returns a model ready to run; `base` is the address of the page. */
export async function load(model: Model, base: string, threads: number): Promise<ort.InferenceSession> {
  const [bytes, wasmBinary] = await Promise.all([
    fetched(new URL(`models/${model.name}.onnx`, base)),
    started ? undefined : fetched(new URL("ort/ort-wasm-simd-threaded.wasm.gz", base)).then(unpack),
  ]);
  if ((await sha256(bytes)) !== model.sha256) {
    await forget(new URL(`models/${model.name}.onnx`, base));
    throw new Failure("modelDamaged");
  }
  const wasmPaths = { mjs: new URL("ort/ort-wasm-simd-threaded.mjs", base).href };
  Object.assign(ort.env.wasm, { numThreads: threads, wasmPaths, wasmBinary });
  ort.env.logLevel = "error";
  try {
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], enableMemPattern: false });
    delete ort.env.wasm.wasmBinary;
    started = true;
    return session;
  } catch (error) {
    throw failureOf(error, "wasmBlocked");
  }
}

/** The probability of RGB, uint8 (H, W, 3), as float32 (H, W). */
export async function run(
  session: ort.InferenceSession,
  rgb: Uint8Array,
  width: number,
  height: number,
): Promise<Float32Array<ArrayBuffer>> {
  const image = new ort.Tensor("uint8", rgb, [height, width, 3]);
  const { probability } = await session.run({ image });
  const values = (probability as ort.Tensor).data as Float32Array<ArrayBuffer>;
  for (let at = 0; at < values.length; at++) if (values[at] > 1) values[at] = 1; // 1 + 5e-7 at times
  return values;
}

async function fetched(address: URL): Promise<ArrayBuffer> {
  try {
    const response = await fetch(address);
    if (response.ok) return await response.arrayBuffer();
  } catch {
    // the sentence below is all there is to say
  }
  throw new Failure("modelMissing");
}

/** Takes a file out of what is kept, so that it is fetched anew. */
async function forget(address: URL): Promise<void> {
  if (!("caches" in self)) return;
  for (const name of await caches.keys()) await (await caches.open(name)).delete(address);
}

async function unpack(packed: ArrayBuffer): Promise<ArrayBuffer> {
  const gzip = new Uint8Array(packed, 0, 2);
  if (gzip[0] !== 0x1f || gzip[1] !== 0x8b) return packed; // the host has sent it with Content-Encoding
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function sha256(bytes: ArrayBuffer): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
