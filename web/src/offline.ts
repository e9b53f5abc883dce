// Keeps the page on the device: registers the service worker, and reloads once where that brings threads.

const CALM_MS = 2000; // a first image goes before what is not needed yet
const PATIENCE_MS = 8000; // on a slow line the model is not kept waiting for the service worker

/**
 * Resolves once the service worker has the page, so that its files are fetched once; `idle` tells whether a reload,
 * which isolates the page on a host that does not, would lose nothing.
 */
export async function keepOnDevice(idle: () => boolean): Promise<void> {
  if (!("serviceWorker" in navigator) || !import.meta.env.PROD) return;
  try {
    const registration = await navigator.serviceWorker.register("sw.js");
    if (!registration.installing && !registration.waiting) return isolate(idle); // it is there, or this is a hard reload
    const failed = new Promise((resolve) =>
      registration.installing?.addEventListener("statechange", ({ target }) => {
        if ((target as ServiceWorker).state === "redundant") resolve(null);
      }),
    );
    await Promise.race([controlled(), failed, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
  } catch {
    return; // the page works without, but only with the network
  }
  await isolate(idle);
}

async function isolate(idle: () => boolean): Promise<void> {
  const { controller } = navigator.serviceWorker;
  const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  const again = navigation?.type === "reload"; // once: where that did not isolate the page, nothing will
  if (!controller || crossOriginIsolated || again || !idle()) return;
  location.reload();
  await new Promise(() => {});
}

/** Fetches what is not needed at once; `kept` is called when all is on the device. */
export function keepTheRest(kept: () => void): void {
  const { serviceWorker } = navigator;
  if (!serviceWorker?.controller) return;
  serviceWorker.addEventListener("message", ({ data }) => data === "kept all" && kept());
  setTimeout(() => serviceWorker.controller?.postMessage("keep all"), CALM_MS);
}

function controlled(): Promise<unknown> {
  const { serviceWorker } = navigator;
  if (serviceWorker.controller) return Promise.resolve();
  return new Promise((resolve) => serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
}
