// Keeps the page on the device: registers the service worker, renews it, and reloads once where that brings threads.

const CALM_MS = 2000; // a first image goes before what is not needed yet
const PATIENCE_MS = 8000; // on a slow line the model is not kept waiting for the service worker
const HANDOVER_MS = 2000; // Chromium 156 at times lets go of an old service worker only when the page goes on to load

/** How much of the page is on the device. */
export type Kept = "all" | "no room" | "in part";

const { serviceWorker } = navigator as { serviceWorker?: ServiceWorkerContainer };
let failed: Promise<unknown> = Promise.resolve(); // when it is known that there will be no service worker
let said: Kept = "in part"; // by the service worker, last

/**
 * Resolves once the service worker has the page, so that its files are fetched once; `idle` tells whether a reload,
 * which isolates the page on a host that does not, would lose nothing.
 */
export async function keepOnDevice(idle: () => boolean): Promise<void> {
  if (!serviceWorker || !import.meta.env.PROD) return;
  serviceWorker.addEventListener("message", ({ data }) => {
    said = data;
  });
  try {
    const { installing, waiting } = await serviceWorker.register("sw.js");
    failed = redundant(serviceWorker.controller ? null : installing);
    if (waiting && serviceWorker.controller) await renew(serviceWorker, waiting, idle);
    else if (installing) await Promise.race([controlled(serviceWorker), failed, sleep(PATIENCE_MS)]);
  } catch {
    return; // the page works without, but only with the network
  }
  await isolate(serviceWorker, idle);
}

/** Lets a newer version take over, with which the page begins anew once idle; resolves where another is open, too. */
async function renew(container: ServiceWorkerContainer, waiting: ServiceWorker, idle: () => boolean): Promise<void> {
  const begin = (): void => void (idle() ? location.reload() : setTimeout(begin, CALM_MS));
  container.addEventListener("controllerchange", begin, { once: true });
  const { port1, port2 } = new MessageChannel();
  const refused = new Promise((resolve) => {
    port1.onmessage = resolve;
  });
  waiting.postMessage("take over", [port2]);
  await Promise.race([refused, sleep(HANDOVER_MS)]);
}

async function isolate({ controller }: ServiceWorkerContainer, idle: () => boolean): Promise<void> {
  const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  const again = navigation?.type === "reload"; // once: where that did not isolate the page, nothing will
  if (!controller || crossOriginIsolated || again || !idle()) return;
  location.reload();
  await new Promise(() => {});
}

/** Fetches what is not needed at once, and says how much is on the device then. */
export async function keepTheRest(tell: (kept: Kept) => void): Promise<void> {
  if (!import.meta.env.PROD) return;
  if (serviceWorker) await Promise.race([controlled(serviceWorker), failed]);
  if (!serviceWorker?.controller) return tell(said);
  serviceWorker.addEventListener("message", ({ data, source }) => source === serviceWorker.controller && tell(data));
  await sleep(CALM_MS);
  serviceWorker.controller.postMessage("keep all");
}

const sleep = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms));

function controlled(container: ServiceWorkerContainer): Promise<unknown> {
  if (container.controller) return Promise.resolve();
  return new Promise((resolve) => container.addEventListener("controllerchange", resolve, { once: true }));
}

/** Resolves when a service worker could not be installed; of none never. */
function redundant(worker: ServiceWorker | null): Promise<unknown> {
  return new Promise((resolve) =>
    worker?.addEventListener("statechange", () => worker.state === "redundant" && resolve(null)),
  );
}
