// The page's end of the worker: asks it, and starts it anew when it is lost.
import { Failure } from "./errors";
import type { Model } from "./models";
import type { Replies, Reply, Request } from "./protocol";

const TRIES = 3; // WebKit, with service workers of several hosts about, at times does not load a worker at first
type Waiting = { request: Request; resolve: (value: never) => void; reject: (reason: Failure) => void };

export class Engine {
  #worker: Worker | null = null;
  #waiting = new Map<number, Waiting>();
  #next = 0;

  /** The answer of the worker; rejects with a `Failure`. */
  ask<K extends Request["kind"]>(request: Request & { kind: K }, transfer: Transferable[] = []): Promise<Replies[K]> {
    this.#worker ??= this.#start();
    const id = this.#next++;
    const answer = new Promise<Replies[K]>((resolve, reject) => this.#waiting.set(id, { request, resolve, reject }));
    this.#worker.postMessage({ id, request }, transfer);
    return answer;
  }

  load(model: Model, threads: number): Promise<null> {
    return this.ask({ kind: "load", model, base: new URL("./", location.href).href, threads });
  }

  /** Ends the worker with all it holds; the next question starts another, which has to load a model first. */
  stop(reason = new Failure("workerLost")): void {
    this.#worker?.terminate();
    this.#worker = null;
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }

  #start(tries = TRIES): Worker {
    const worker = new Worker(new URL("./segment.worker.ts", import.meta.url), { type: "module", name: "lvunet" });
    let loaded = false;
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      loaded = true;
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ("code" in data) waiting?.reject(new Failure(data.code, data.detail));
      else waiting?.resolve(data.value as never);
    };
    worker.onerror = () => {
      if (loaded || tries === 1) return this.stop();
      worker.terminate();
      this.#worker = this.#start(tries - 1);
      for (const [id, { request }] of this.#waiting) this.#worker.postMessage({ id, request });
    };
    return worker;
  }
}

/** How many threads: as many as there are cores up to four, where the page is isolated; one on iOS. */
export function threadCount(wanted: number | null): number {
  const phone =
    /iPhone|iPad|iPod/.test(navigator.userAgent) || (/Mac/.test(navigator.userAgent) && navigator.maxTouchPoints > 1);
  const shared = crossOriginIsolated && "SharedArrayBuffer" in window; // WebKitGTK is isolated without
  const most = shared && !phone ? Math.min(navigator.hardwareConcurrency || 1, 4) : 1;
  return Math.max(1, Math.min(wanted ?? most, most));
}
