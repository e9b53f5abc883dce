// The elements of the page: what each state shows, and the words that are written into them.
import type { Live } from "./camera";
import type { Failure } from "./errors";
import type { Measures } from "./measure";
import { MODELS, type Model } from "./models";
import type { Kept } from "./offline";
import type { Settings } from "./stage";
import type { Look } from "./view";
import { aboutWords, areaWords, diameterWords, qualityWords, scoreWords } from "./words";

/** The element with this id, which is in index.html. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const root = document.documentElement.dataset;

export type State = "empty" | "working" | "result" | "camera";
export type EngineState = "loading" | "ready" | "failed";

/** What is shown in which state; the style sheet and the tests read the state from `<html data-state>`. */
const SHOWN: Record<string, State[]> = {
  invitation: ["empty"],
  shown: ["working", "result", "camera"],
  about: ["empty", "working"],
  results: ["result", "camera"],
  adjust: ["result", "camera"],
  save: ["result"],
  again: ["working", "result"],
  close: ["working", "result"],
  live: ["camera"],
  fps: ["camera"],
};

export function setState(state: State): void {
  const focused = document.activeElement; // hiding it takes the focus away
  root.state = state;
  element("results").ariaLive = state === "camera" ? "off" : "polite"; // a camera would never stop talking
  for (const [id, states] of Object.entries(SHOWN)) element(id).hidden = !states.includes(state);
  showBusy(state === "working" ? "Outlining" : "");
  if (focused !== document.body && !focused?.getClientRects().length)
    element(state === "camera" ? "hold" : "file").focus(); // what had it is gone
}

/** Says what takes its time; nothing takes it away. */
export function showBusy(words: string): void {
  write("busy", words);
}

/** Gives the focus to where another image is chosen, unless something has it. */
export function focusOnChoice(): void {
  if (document.activeElement === document.body) element("file").focus();
}

export function getState(): State {
  return root.state as State;
}

export function setEngine(state: EngineState, threads?: number): void {
  root.engine = state;
  if (threads) root.threads = String(threads);
}

export function getEngine(): EngineState {
  return root.engine as EngineState;
}

/** A sentence on what went wrong; null takes it away. */
export function complain(failure: Failure | null): void {
  element("message").textContent = failure?.message ?? "";
  element("message").hidden = !failure;
}

export function settings(): Settings {
  const chosen = document.querySelector<HTMLInputElement>("input[name=view]:checked");
  return {
    look: (chosen?.value ?? "overlay") as Look,
    threshold: element<HTMLInputElement>("threshold").valueAsNumber / 100,
    opacity: element<HTMLInputElement>("opacity").valueAsNumber / 100,
  };
}

/** Writes what the sliders stand at, and hides what the view does not use. */
export function showSettings(model: Model | null): void {
  const { look, threshold, opacity } = settings();
  element("threshold-value").textContent = threshold.toFixed(2);
  element("opacity-value").textContent = `${Math.round(opacity * 100)} %`;
  element("opacity-row").hidden = look !== "overlay";
  element("legend").hidden = look !== "probability";
  element("threshold-reset").hidden = !model || threshold === model.card.threshold;
}

export function setThreshold(value: number): void {
  element<HTMLInputElement>("threshold").valueAsNumber = Math.round(value * 100);
}

const CALM_MS = 250; // numbers that change with every frame cannot be read
let written_ms = 0;

/** Writes the numbers, and of a camera its pace, but not more often than they can be read. */
export function showMeasures(measures: Measures, model: Model, live: Live | null): void {
  if (live && performance.now() - written_ms < CALM_MS) return;
  written_ms = performance.now();
  const { trust, badge, words } = qualityWords(measures, model, settings().threshold);
  writeValue("area", areaWords(measures));
  writeValue("diameter", diameterWords(measures));
  write("quality", badge);
  write("quality-words", words);
  element("quality").dataset.trust = trust;
  write("fps", live?.fps ? `${live.fps.toFixed(0)} fps · ${live.latency_ms.toFixed(0)} ms` : "");
}

/** Writes a value and, smaller, what else it is. */
function writeValue(id: string, [value, more]: readonly [string, string]): void {
  const strong = Object.assign(document.createElement("strong"), { textContent: value });
  element(id).replaceChildren(strong, " ", more);
}

/** Writes only what changed, so that nothing is read out twice. */
function write(id: string, text: string): void {
  if (element(id).textContent !== text) element(id).textContent = text;
}

/** What is open: its name, which is cut where it is too long, and what is not cut. */
export function caption(name: string, ...more: string[]): void {
  write("caption-name", name);
  element("caption-name").title = name;
  write("caption-more", more.filter(Boolean).join(" · "));
}

/** Which of several files is open; of one nothing is said. */
export function showPlace(at: number, count: number): void {
  element("steps").hidden = count < 2;
  write("place", `${at + 1} of ${count}`);
}

/** Offers the cameras, if there are several; `used` is the present one. */
export async function offerCameras(used: string): Promise<void> {
  const devices = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
  const select = element<HTMLSelectElement>("camera-device");
  select.replaceChildren(...devices.map(({ label, deviceId }) => new Option(label || "Camera", deviceId)));
  select.value = used;
  select.hidden = devices.length < 2;
}

const KEPT: Record<Kept, string> = {
  all: "Works offline",
  "no room": "Works online only: this device has no room to keep it.",
  "in part": "Works online only: not all of it could be kept.",
};

/** Says how much of the page is on the device. */
export function showKept(kept: Kept): void {
  root.offline = kept === "all" ? "ready" : "no";
  write("offline", KEPT[kept]);
  element("offline").hidden = false;
}

export function showModel(model: Model): void {
  write("outlines", aboutWords(model));
  write("intended-use", model.card.intended_use);
  element("scores").replaceChildren(...model.scores.map(scoreWords).map(listed));
  element("limits").replaceChildren(...model.limits.map(listed));
  write("terms", `Trained on ${model.trained_on}. ${model.data_terms.join(". ")}. Weights: ${model.weights_terms}`);
}

const listed = (textContent: string): HTMLElement => Object.assign(document.createElement("li"), { textContent });

/** Fills the choice of models; `choose` is called with a name. */
export function offerModels(chosen: string, choose: (name: string) => void): void {
  for (const [name, label] of Object.entries(MODELS)) {
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "model", value: name });
    input.checked = name === chosen;
    input.addEventListener("change", () => choose(name));
    const choice = document.createElement("label");
    choice.append(input, Object.assign(document.createElement("span"), { textContent: label }));
    element("models").append(choice);
  }
}

/** Offers a blob for saving under a name. */
export function download(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
