// The page: files, clicks and frames in; pictures, numbers and files out.
import { Camera } from "./camera";
import { Engine, threadCount } from "./engine";
import { cameraFailure, Failure, failureOf } from "./errors";
import { listen } from "./inputs";
import { describe, MODELS, type Model } from "./models";
import { keepOnDevice, keepTheRest } from "./offline";
import * as page from "./page";
import type { Segmented } from "./protocol";
import { type Report, report } from "./report";
import { draw, drawLegend, show } from "./stage";

declare global {
  interface Window {
    /** For tests and the curious: the last result, its whole probability, and the pace of the camera. */
    lvunet: { last: Report | null; readonly camera: Camera["live"]; probability: () => Promise<Float32Array> };
  }
}

const SOON_MS = 300; // what is read by then needs no word
const engine = new Engine();
const parameters = new URLSearchParams(location.search);
const camera = new Camera(page.element<HTMLVideoElement>("video"), outline, (error) => {
  leave();
  recover(failureOf(error, "cameraFailed"));
});
window.lvunet = {
  last: null,
  get camera() {
    return camera.live;
  },
  probability: () => engine.ask({ kind: "probability" }),
};

let model: Model | null = null;
let loading: Promise<Model>; // the model that is ready, or soon; rejects with why there is none
let file: File | null = null; // what is open; a camera has none
let files: readonly File[] = []; // what was given, of which one is open at a time
let at = 0; // the place of that
let found: Segmented | null = null;
let latest = 0; // counts what was asked, so that an answer that nobody waits for is dropped
let opening = 0; // files on their way into the worker, whose place no frame of the camera may take
let measuring: Promise<void> | null = null;

async function load(name: string): Promise<Model> {
  page.setEngine("loading");
  try {
    const described = await describe(name);
    const threads = threadCount(Number(parameters.get("threads")) || null);
    await engine.load(described, threads);
    model = described;
    page.setThreshold(described.card.threshold);
    page.showModel(described);
    page.showSettings(model);
    page.setEngine("ready", threads);
    return described;
  } catch (error) {
    engine.stop(); // ONNX Runtime does not start a second time where it failed once
    model = null;
    page.setEngine("failed");
    if (found || file) leave(); // it is of another model
    const failure = failureOf(error, "modelMissing");
    const { code } = failure;
    const plainer = code === "memory" ? "noMemory" : code === "workerLost" ? "modelMissing" : null;
    page.complain(plainer ? new Failure(plainer) : failure);
    throw failure;
  }
}

/** Loads a model once those that were chosen before are loaded, so that the last one stays. */
function next(name: string): Promise<Model> {
  loading = loading.catch(() => null).then(() => load(name));
  loading.catch(() => {}); // the page has said so
  return loading;
}

/** Loads a model, and outlines with it what is open. */
async function choose(name: string): Promise<void> {
  page.complain(null);
  page.setEngine("loading");
  if (file) {
    found = null; // it is of another model
    page.setState("working");
    redraw();
  }
  await next(name).then(
    () => file && segment(file),
    () => {}, // the page has said so
  );
}

/** Takes the files that were given, and outlines the first. */
async function open(given: readonly File[]): Promise<void> {
  files = given;
  at = 0;
  if (files.length) await step(0);
}

/** Goes on, or back, to another of the files that were given; behind the last is the first. */
async function step(by: number): Promise<void> {
  at = (at + by + files.length) % files.length;
  page.showPlace(at, files.length);
  await segment(files[at]);
}

function forgetFiles(): void {
  files = [];
  page.showPlace(0, 0);
}

/** Outlines what is in a file, or says why not. */
async function segment(chosen: File): Promise<void> {
  const turn = ++latest;
  const start = performance.now();
  page.complain(null);
  const slow = setTimeout(() => turn === latest && page.showBusy(`Reading ${chosen.name}`), SOON_MS);
  try {
    opening++;
    const opened = await engine.ask({ kind: "open", file: chosen }).finally(() => {
      opening--;
      clearTimeout(slow);
    });
    if (turn !== latest) return opened.bitmap.close();
    const decode = performance.now() - start;
    camera.stop();
    file = chosen;
    found = null;
    page.setState("working");
    page.caption(chosen.name, `${opened.width}\u00A0×\u00A0${opened.height}`, opened.note);
    show(opened.bitmap);
    redraw();
    const used = await loading;
    const { threshold } = page.settings();
    const answer = await engine.ask({ kind: "segment", threshold });
    if (turn !== latest) return;
    found = answer;
    page.setState("result");
    redraw();
    const total = performance.now() - start;
    window.lvunet.last = report(used, chosen.name, found, threshold, { decode, run: found.run_ms, total });
  } catch (error) {
    const failure = failureOf(error, "modelFailed");
    const named = found || files.length > 1;
    if (turn === latest) recover(named ? new Failure(failure.code, `${chosen.name}: ${failure.message}`) : failure);
  }
}

/** Says what went wrong, and makes the page ready for the next image. */
function recover(failure: Failure): void {
  if (page.getState() === "working") leave();
  const lost = failure.code === "memory" || failure.code === "workerLost";
  if (lost && model) {
    engine.stop();
    next(model.name);
  }
  page.showBusy("");
  page.complain(failure);
  page.focusOnChoice();
}

/** Outlines a frame of the camera. */
async function outline(frame: ImageBitmap): Promise<void> {
  await loading;
  if (opening) return frame.close();
  const { threshold } = page.settings();
  const answer = await engine.ask({ kind: "frame", bitmap: frame, threshold }, [frame]);
  if (!camera.live) return answer.bitmap.close();
  found = answer;
  show(answer.bitmap);
  redraw();
}

async function startCamera(device = ""): Promise<void> {
  const turn = ++latest;
  page.complain(null);
  page.showBusy("");
  try {
    if (!(await camera.start(device))) return;
    if (turn !== latest) return camera.stop();
    file = found = null;
    forgetFiles();
    page.setState("camera");
    page.caption("Camera");
    await page.offerCameras(camera.device);
  } catch (error) {
    page.complain(cameraFailure(error));
  }
}

/** Back to the beginning, with nothing to step to. */
function close(): void {
  forgetFiles();
  leave();
}

/** Back to the beginning. */
function leave(): void {
  latest++;
  camera.stop();
  file = found = null;
  page.setState("empty");
}

function redraw(): void {
  page.showSettings(model);
  draw(found, page.settings());
  if (found && model) page.showMeasures(found.measures, model, camera.live);
}

/** Measures again where only the threshold changed: the network does not run. One at a time, none queued. */
async function remeasure(): Promise<void> {
  redraw();
  measuring ??= measureToTheLast().finally(() => {
    measuring = null;
  });
  await measuring;
}

async function measureToTheLast(): Promise<void> {
  let measured = Number.NaN;
  while (found && !camera.live && page.getEngine() === "ready" && measured !== page.settings().threshold) {
    const [before, { threshold }] = [found, page.settings()];
    try {
      const measures = await engine.ask({ kind: "measure", threshold });
      measured = threshold;
      if (found !== before) return;
      found.measures = measures;
      window.lvunet.last = window.lvunet.last && { ...window.lvunet.last, threshold, ...measures };
      redraw();
    } catch (error) {
      return recover(failureOf(error, "modelFailed"));
    }
  }
}

function resetThreshold(): void {
  if (model) page.setThreshold(model.card.threshold);
  void remeasure();
}

async function save(what: "mask" | "overlay" | "json"): Promise<void> {
  await measuring; // so that all three are of the threshold that is shown
  const { threshold, opacity } = page.settings();
  const { last } = window.lvunet;
  if (!last) return;
  try {
    const numbers = new Blob([JSON.stringify(last, null, 1)], { type: "application/json" });
    if (what === "json") page.download(numbers, `${last.image}.json`);
    else page.download(await engine.ask({ kind: "png", look: what, threshold, opacity }), `${last.image}-${what}.png`);
  } catch (error) {
    recover(failureOf(error, "notSaved"));
  }
}

async function example(): Promise<void> {
  try {
    const { name } = await loading;
    const response = await fetch(`models/${name}.jpg`);
    if (!response.ok) throw new Failure("modelMissing");
    await open([new File([await response.blob()], `${name} (drawn, not a patient).jpg`)]);
  } catch (error) {
    page.complain(failureOf(error, "modelMissing"));
  }
}

async function start(): Promise<void> {
  const wanted = parameters.get("model") ?? "";
  const first = Object.hasOwn(MODELS, wanted) ? wanted : Object.keys(MODELS)[0];
  page.offerModels(first, (name) => void choose(name));
  drawLegend(page.element("legend").querySelector("canvas") as HTMLCanvasElement);
  loading = keepOnDevice(() => page.getState() === "empty" && !opening).then(() => load(first));
  listen({ open, step, startCamera, leave: close, redraw, remeasure, save, example, camera, resetThreshold });
  await loading;
  void keepTheRest(page.showKept);
}

if (page.getEngine() !== "failed") start().catch(() => {}); // old-browser.js has spoken, or the page has
