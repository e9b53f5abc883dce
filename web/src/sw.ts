// The service worker: keeps every file of one version, answers from there alone, and isolates the page for threads.

interface Files {
  policy: string;
  version: string;
  now: string[];
  later: string[];
}

// The types of a service worker are not those of a page, so the few that are used are named here.
interface Extendable extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface Fetching extends Extendable {
  request: Request;
  respondWith(response: Promise<Response>): void;
}
interface Message extends Extendable {
  data: unknown;
  source: { postMessage(message: unknown): void } | null;
}
const worker = self as unknown as {
  files: Files;
  clients: { claim(): Promise<void> };
  registration: { scope: string };
  addEventListener(kind: "install" | "activate", act: (event: Extendable) => void): void;
  addEventListener(kind: "fetch", act: (event: Fetching) => void): void;
  addEventListener(kind: "message", act: (event: Message) => void): void;
};

const PREFIX = `lvunet ${worker.registration.scope} `;
const NAME = PREFIX + worker.files.version;

worker.addEventListener("install", (event) => {
  event.waitUntil(keep(worker.files.now)); // a new version waits until no page of the old one is open
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(forgetOthers().then(() => worker.clients.claim()));
});

worker.addEventListener("message", (event) => {
  if (event.data !== "keep all") return;
  const { source } = event;
  event.waitUntil(keep(worker.files.later).then(() => source?.postMessage("kept all")));
});

worker.addEventListener("fetch", (event) => {
  if (event.request.method === "GET") event.respondWith(answer(event.request));
});

/** Adds what is not there yet. */
async function keep(files: string[]): Promise<void> {
  const cache = await caches.open(NAME);
  const missing = [];
  for (const file of files) if (!(await cache.match(file))) missing.push(new Request(file, { cache: "no-cache" }));
  await cache.addAll(missing);
}

async function forgetOthers(): Promise<void> {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
}

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(NAME);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept) return isolated(kept);
  const response = await fetch(request);
  const file = request.url.replace(worker.registration.scope, "");
  const listed = [...worker.files.now, ...worker.files.later].includes(file);
  if (response.ok && listed) await cache.put(request, response.clone());
  return isolated(response);
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
