// The service worker: keeps every file of one version, answers from there alone, and isolates the page for threads.
import type { Files } from "../precache";
import type { Kept } from "./offline";

// The types of a service worker are not those of a page, so the few that are used are named here.
interface Extendable extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface Fetching extends Extendable {
  request: Request;
  respondWith(response: Promise<Response>): void;
}
interface Client {
  url: string;
  postMessage(message: Kept): void;
}
interface Message extends Extendable {
  data: unknown;
  source: Client;
  ports: readonly MessagePort[];
}
const worker = self as unknown as {
  files: Files;
  clients: { claim(): Promise<void>; matchAll(which: { includeUncontrolled: boolean }): Promise<Client[]> };
  registration: { scope: string };
  skipWaiting(): Promise<void>;
  addEventListener(kind: "install" | "activate", act: (event: Extendable) => void): void;
  addEventListener(kind: "fetch", act: (event: Fetching) => void): void;
  addEventListener(kind: "message", act: (event: Message) => void): void;
};

const PREFIX = `lvunet ${worker.registration.scope} `;
const NAME = PREFIX + worker.files.version;

worker.addEventListener("install", (event) => {
  event.waitUntil(install()); // a new version then waits until it is asked to take over, or no page of the old is open
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(forgetOthers().then(() => worker.clients.claim()));
});

worker.addEventListener("message", (event) => {
  const { data, source, ports } = event;
  if (data === "take over") event.waitUntil(takeOver(ports[0]));
  if (data === "keep all") event.waitUntil(keep(worker.files.later).then((kept) => source.postMessage(kept)));
});

worker.addEventListener("fetch", (event) => {
  if (event.request.method === "GET") event.respondWith(answer(event));
});

/** Keeps what is needed at once, and of the rest what an older version has, so that no update takes a model away. */
async function install(): Promise<void> {
  const used = await caches.has(NAME); // by the active worker, where a host went back to its version
  const files = { ...worker.files.now };
  for (const [file, integrity] of Object.entries(worker.files.later))
    if (await caches.match(file)) files[file] = integrity;
  const kept = await keep(files);
  if (kept === "all") return;
  if (!used) await caches.delete(NAME);
  for (const page of await pages()) page.postMessage(kept);
  throw new Error(kept);
}

/** Adds what is not there yet, all of it or nothing; a file of another version is none. */
async function keep(files: Record<string, string>): Promise<Kept> {
  const cache = await caches.open(NAME);
  const missing = [];
  for (const [file, integrity] of Object.entries(files))
    if (!(await cache.match(file))) missing.push(new Request(file, { cache: "no-cache", integrity }));
  return cache.addAll(missing).then(() => "all", because);
}

function because(error: Error): Kept {
  return error.name === "QuotaExceededError" ? "no room" : "in part";
}

/** Becomes the version in use where one page alone is open: a second one would miss the files of its own. */
async function takeOver(page: MessagePort): Promise<void> {
  if ((await pages()).length > 1) page.postMessage("not alone");
  else await worker.skipWaiting();
}

/** The open pages of this app: its host may have others. */
async function pages(): Promise<Client[]> {
  const open = await worker.clients.matchAll({ includeUncontrolled: true });
  return open.filter(({ url }) => url.startsWith(worker.registration.scope));
}

async function forgetOthers(): Promise<void> {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
}

async function answer(event: Fetching): Promise<Response> {
  const { request } = event;
  const cache = await caches.open(NAME);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept) return isolated(kept);
  const integrity = { ...worker.files.now, ...worker.files.later }[request.url.replace(worker.registration.scope, "")];
  if (integrity === undefined) return isolated(await fetch(request));
  try {
    const response = await fetch(request, { cache: "no-cache", integrity });
    if (response.ok) event.waitUntil(cache.put(request, response.clone()).catch(() => {})); // no room: "keep all" says so
    return isolated(response);
  } catch (error) {
    if (!request.url.endsWith(".onnx")) throw error;
    return isolated(await fetch(request, { cache: "reload" })); // the page checks models too, and says what is damaged
  }
}

/** The same response with the headers that a page needs for threads, and the policy of the page: workers need it, too. */
function isolated(response: Response): Response {
  if (response.type === "opaque" || response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  headers.set("Content-Security-Policy", worker.files.policy);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
