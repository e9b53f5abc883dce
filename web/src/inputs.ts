// Every way in: clicks, keys, files that are chosen, dropped or pasted, and the page going out of sight.
import type { Camera } from "./camera";
import { element, getState } from "./page";

export interface Actions {
  open: (files: readonly File[]) => Promise<void>;
  step: (by: number) => Promise<void>;
  startCamera: (device?: string) => Promise<void>;
  leave: () => void;
  redraw: () => void;
  remeasure: () => Promise<void>;
  resetThreshold: () => void;
  save: (what: "mask" | "overlay" | "json") => Promise<void>;
  example: () => Promise<void>;
  camera: Camera;
}

const isOpen = (): boolean => getState() !== "empty" || !element("steps").hidden;

export function listen(actions: Actions): void {
  const click = (id: string, act: () => unknown) => element(id).addEventListener("click", act);
  const input = (id: string, act: () => unknown) => element(id).addEventListener("input", act);
  click("camera", () => actions.startCamera());
  click("example", () => actions.example());
  for (const id of ["close", "camera-stop"]) click(id, () => actions.leave());
  document.addEventListener("keydown", ({ key }) => key === "Escape" && isOpen() && actions.leave());
  click("step-back", () => actions.step(-1));
  click("step-on", () => actions.step(1));
  document.addEventListener("keydown", ({ key, target, repeat, altKey, ctrlKey, metaKey }) => {
    if (repeat || altKey || ctrlKey || metaKey) return; // each step decodes a file; Alt and an arrow go back
    if (element("steps").hidden || (target as Element).matches("input:not([type=file]), select")) return;
    if (key === "ArrowRight") void actions.step(1);
    if (key === "ArrowLeft") void actions.step(-1);
  });
  click("hold", () => hold(actions));
  click("threshold-reset", () => actions.resetThreshold());
  for (const what of ["mask", "overlay", "json"] as const) click(`save-${what}`, () => actions.save(what));
  input("opacity", () => actions.redraw());
  input("threshold", () => actions.remeasure());
  for (const view of document.querySelectorAll("input[name=view]")) view.addEventListener("change", actions.redraw);
  element("camera-device").addEventListener("change", ({ target }) =>
    actions.startCamera((target as HTMLSelectElement).value),
  );
  listenForFiles(actions);
  stopOutOfSight(actions);
  switchThemes();
}

/** The present frame of the camera becomes the image. */
async function hold({ camera, open }: Actions): Promise<void> {
  const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "");
  await open([new File([await camera.still()], `camera-${time}.png`, { type: "image/png" })]);
}

function listenForFiles({ open }: Actions): void {
  const take = (files: FileList | undefined | null) => files?.length && void open([...files]);
  const chooser = element<HTMLInputElement>("file");
  chooser.addEventListener("change", () => {
    take(chooser.files);
    chooser.value = ""; // so that the same file can be chosen again
  });
  const dragging = (on: boolean) => document.documentElement.toggleAttribute("data-dragging", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    dragging(true);
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || dragging(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    take(event.dataTransfer?.files);
  });
  document.addEventListener("paste", ({ clipboardData }) => take(clipboardData?.files));
}

/** Lets go of the camera while the page is hidden, and takes it again when it is back. */
function stopOutOfSight({ camera, startCamera, leave }: Actions): void {
  let device: string | null = null;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && getState() === "camera") {
      device = camera.device;
      camera.stop();
    } else if (!document.hidden && device !== null && getState() === "camera") {
      void startCamera(device).then(() => camera.live || leave());
      device = null;
    }
  });
}

/** Light or dark: the system's, until the button is pressed; then that, for good. */
function switchThemes(): void {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = element("theme");
  const show = () =>
    button.setAttribute("aria-pressed", String((root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark"));
  const kept = stored();
  if (kept) root.dataset.theme = kept;
  button.addEventListener("click", () => {
    root.dataset.theme = button.getAttribute("aria-pressed") === "true" ? "light" : "dark";
    stored(root.dataset.theme);
    show();
  });
  dark.addEventListener("change", show);
  show();
}

/** The theme that was chosen once, or that is chosen now; browsers may refuse to keep it. */
function stored(theme?: string): string | null {
  try {
    if (theme) localStorage.setItem("theme", theme);
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}
