/** Firefox and WebKitGTK, driven by the commands of WebDriver: https://www.w3.org/TR/webdriver2. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

/** Commands as Firefox names them, and where a driver that speaks HTTP takes them. */
const ROUTES = {
  NewSession: ["POST", ""],
  DeleteSession: ["DELETE", ""],
  Navigate: ["POST", "/url"],
  ExecuteAsyncScript: ["POST", "/execute/async"],
  FindElement: ["POST", "/element"],
  ElementSendKeys: ["POST", "/element/:id/value"],
  SetWindowRect: ["POST", "/window/rect"],
  TakeScreenshot: ["GET", "/screenshot"],
} as const;
/** Sends a command, or has Firefox run what comes in itself instead of in the page, and gives its answer. */
type Send = (command: keyof typeof ROUTES | "SetContext", parameters?: Record<string, unknown>) => Promise<unknown>;

export interface Options {
  camera?: boolean;
  /** As whom the browser gives itself out. */
  agent?: string;
}

/** A browser, as far as the two differ. */
export interface Engine {
  version: string;
  send: Send;
  goto: (url: string) => Promise<unknown>;
  /** Makes the page about so large, in CSS pixels. */
  resize: (width: number, height: number) => Promise<unknown>;
  /** What the console has on the page: errors, and what the policy forbade. */
  complaints: () => Promise<string[]>;
  stop: () => Promise<void>;
}

const PATIENCE_MS = 90_000;

/** A page in a browser. */
export class Page {
  constructor(readonly engine: Engine) {}

  /** What a function, which knows nothing but its arguments, gives in the page. */
  run<A extends unknown[], T>(act: (...given: A) => T | Promise<T>, ...args: A): Promise<T> {
    return run(this.engine.send, act, ...args);
  }

  /** Waits until a function of the page gives something else than nothing. */
  async until<A extends unknown[], T>(act: (...given: A) => T, ...args: A): Promise<NonNullable<T>> {
    for (const start = Date.now(); Date.now() - start < PATIENCE_MS; await sleep(20)) {
      const value = await this.run(act, ...args).catch(() => null); // a page that loads anew answers nothing
      if (value) return value;
    }
    throw new Error(`waited in vain for ${act}`);
  }

  /** Chooses files as a person does. */
  async choose(...files: string[]): Promise<void> {
    const element = (await this.engine.send("FindElement", { using: "css selector", value: "#file" })) as object;
    await this.engine.send("ElementSendKeys", { id: Object.values(element)[0], text: files.join("\n") });
  }

  async picture(path: string): Promise<void> {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.from((await this.engine.send("TakeScreenshot", { full: false })) as string, "base64"));
  }
}

async function run<A extends unknown[], T>(send: Send, act: (...given: A) => T | Promise<T>, ...args: A): Promise<T> {
  const script = `const given = [...arguments], done = given.pop();
    Promise.resolve().then(() => (${act})(...given)).then((value) => done([value]), (error) => done([null, String(error)]))`;
  const [value, error] = (await send("ExecuteAsyncScript", { script, args })) as [T, string?];
  if (error) throw new Error(error);
  return value;
}

/** A folder for profile and settings, and the programs that end with it. */
class Den {
  readonly folder = mkdtempSync(join(tmpdir(), "lvunet-browser-"));
  readonly #programs: ChildProcess[] = [];

  /** Starts a program; the lines that it writes come to `heard`. */
  start(command: string, flags: string[], heard: (line: string) => void, variables: NodeJS.ProcessEnv = {}): void {
    const env = { ...process.env, HOME: this.folder, XDG_CONFIG_HOME: this.folder, ...variables };
    const program = spawn(command, flags, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#programs.unshift(program);
    for (const stream of [program.stdout, program.stderr]) createInterface(stream).on("line", heard);
  }

  /** Starts a program; gives what it writes first that matches. */
  async started(words: RegExp, command: string, flags: string[], variables?: NodeJS.ProcessEnv): Promise<string> {
    return new Promise((resolve) => {
      this.start(command, flags, (line) => words.test(line) && resolve(words.exec(line)?.[0] as string), variables);
    });
  }

  async end(): Promise<void> {
    for (const program of this.#programs) {
      const ended = new Promise((resolve) => program.once("exit", resolve));
      if (program.kill()) await ended;
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** Firefox, without a screen, over its own protocol: https://firefox-source-docs.mozilla.org/testing/marionette. */
export async function firefox({ camera = false, agent }: Options = {}): Promise<Engine> {
  const den = new Den();
  const preferences = {
    "marionette.port": 0,
    "devtools.console.stdout.chrome": false,
    "devtools.console.stdout.content": true,
    "media.navigator.streams.fake": camera,
    "media.navigator.permission.disabled": camera,
    ...(agent ? { "general.useragent.override": agent } : {}),
  };
  const lines = Object.entries(preferences).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`);
  writeFileSync(join(den.folder, "user.js"), lines.join(""));
  const flags = ["--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", den.folder];
  const written: string[] = [];
  const port = await new Promise<number>((resolve) => {
    den.start("firefox-esr", flags, (line) => {
      const listening = /Listening on port (\d+)/.exec(line);
      if (listening) resolve(Number(listening[1]));
      if (/^console\.(error|warn): (?!RSLoader)/.test(line)) written.push(line);
    });
  });
  const send = await marionette(port);
  const { capabilities } = (await send("NewSession")) as { capabilities: { browserVersion: string } };
  const inBrowser = async <A extends unknown[], T>(act: (...given: A) => T, ...args: A): Promise<T> => {
    await send("SetContext", { value: "chrome" });
    return run(send, act, ...args).finally(() => send("SetContext", { value: "content" }));
  };
  return {
    version: `Firefox ${capabilities.browserVersion}`,
    send,
    goto: (url) => send("Navigate", { url }),
    resize: (width, height) =>
      inBrowser(
        (...sides) => {
          const { style } = gBrowser.selectedBrowser;
          [style.minWidth, style.minHeight] = [style.maxWidth, style.maxHeight] = sides.map((side) => `${side}px`);
        },
        width,
        height,
      ),
    complaints: async () => [...written, ...(await inBrowser(errors))],
    stop: () => den.end(),
  };
}

/** What is used of Firefox's own insides. */
declare const gBrowser: { selectedBrowser: HTMLElement };
declare const Services: { console: { getMessageArray: () => { sourceName?: string; errorMessage: string }[] } };
declare const Ci: { nsIScriptError: never };

function errors(): string[] {
  const all = Services.console.getMessageArray();
  return all
    .filter((one) => one instanceof Ci.nsIScriptError && /^(http|blob)/.test(one.sourceName ?? ""))
    .map((one) => one.errorMessage);
}

/** Commands to Firefox and their answers, each as its length, a colon, and JSON. */
async function marionette(port: number): Promise<Send> {
  const socket = connect(port, "127.0.0.1");
  const waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = [];
  let held = Buffer.alloc(0);
  socket.on("data", (bytes) => {
    held = Buffer.concat([held, bytes]);
    for (;;) {
      const colon = held.indexOf(":");
      const end = colon + 1 + Number(held.subarray(0, colon));
      if (colon < 0 || held.length < end) return;
      const message = JSON.parse(held.subarray(colon + 1, end).toString());
      held = held.subarray(end);
      if (!Array.isArray(message)) continue; // the greeting
      const [, id, error, answer] = message;
      if (error) waiting[id]?.reject(new Error(`${error.error}: ${error.message}`));
      else waiting[id]?.resolve(answer && "value" in answer ? answer.value : answer);
    }
  });
  return (command, parameters = {}) =>
    new Promise((resolve, reject) => {
      const name = `${command === "SetContext" ? "Marionette" : "WebDriver"}:${command}`;
      const text = JSON.stringify([0, waiting.push({ resolve, reject }) - 1, name, parameters]);
      socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
}

/** WebKit's own small browser. */
const browser = (): string =>
  execFileSync("sh", ["-c", "ls /usr/lib/*/webkit2gtk-*/MiniBrowser | tail -n 1"], { encoding: "utf8" }).trim();
/** Without room around its buttons the window can be as narrow as a phone. */
const NARROW = "* { min-width: 0; min-height: 0; margin: 0; padding: 0; border: 0; font-size: 1px }";

/** A screen that nobody sees. */
function screen(den: Den): Promise<string> {
  return den.started(/^\d+$/, "Xvfb", ["-displayfd", "1", "-screen", "0", "1600x1200x24", "-nolisten", "tcp"]);
}

/** WebKitGTK by its driver. */
export async function webkit({ camera = false, agent }: Options = {}): Promise<Engine> {
  const den = new Den();
  mkdirSync(join(den.folder, "gtk-3.0"));
  writeFileSync(join(den.folder, "gtk-3.0", "gtk.css"), NARROW);
  const variables = { DISPLAY: `:${await screen(den)}`, JSC_useSharedArrayBuffer: "1" }; // as Safari has it
  const port = await free();
  den.start("WebKitWebDriver", [`--port=${port}`], () => {}, variables);
  const args = ["--automation", `--enable-mock-capture-devices=${camera}`, ...(agent ? [`--user-agent=${agent}`] : [])];
  const options = { "webkitgtk:browserOptions": { binary: browser(), args } };
  const url = `http://127.0.0.1:${port}/session`;
  const { sessionId, capabilities } = (await patiently(() =>
    ask(url, "POST", { capabilities: { alwaysMatch: options } }),
  )) as { sessionId: string; capabilities: { browserVersion: string } };
  const send: Send = async (command, parameters = {}) => {
    const [method, path] = ROUTES[command as keyof typeof ROUTES];
    return ask(`${url}/${sessionId}${path.replace(":id", String(parameters.id))}`, method, parameters);
  };
  return {
    version: `WebKitGTK ${capabilities.browserVersion}`,
    send,
    goto: async (url) => {
      await send("Navigate", { url });
      await run(send, listen);
    },
    resize: (width, height) => send("SetWindowRect", { width, height }),
    complaints: () => run(send, () => window.complaints),
    stop: async () => {
      await send("DeleteSession");
      await den.end();
    },
  };
}

declare global {
  interface Window {
    complaints: string[];
  }
}

/** From now on keeps what the console gets. */
function listen(): void {
  window.complaints = [];
  const keep = (words: string): void => void window.complaints.push(words);
  addEventListener("error", ({ message }) => keep(message));
  addEventListener("unhandledrejection", ({ reason }) => keep(String(reason)));
  addEventListener("securitypolicyviolation", ({ violatedDirective }) => keep(violatedDirective));
  for (const kind of ["error", "warn"] as const) console[kind] = (...words) => keep(words.join(" "));
}

async function patiently<T>(act: () => Promise<T>): Promise<T> {
  for (const start = Date.now(); Date.now() - start < PATIENCE_MS; await sleep(100)) {
    const done = await act().catch(() => null);
    if (done !== null) return done;
  }
  return act();
}

async function free(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function ask(url: string, method: string, parameters: object): Promise<unknown> {
  const body = method === "POST" ? { body: JSON.stringify(parameters) } : {};
  const response = await fetch(url, { method, ...body });
  const { value } = (await response.json()) as { value: unknown };
  if (!response.ok) throw new Error(JSON.stringify(value));
  return value;
}

/** What WebKit writes to its console on a page until `enough`: its driver keeps that to itself. */
export async function consoleOfWebkit(url: string, enough: () => Promise<unknown>): Promise<string[]> {
  const den = new Den();
  const lines: string[] = [];
  const flags = ["--enable-write-console-messages-to-stdout=true", url]; // to stderr, in fact
  den.start(browser(), flags, (line) => lines.push(line), { DISPLAY: `:${await screen(den)}` });
  await enough().finally(() => den.end());
  return lines.filter((line) => line.includes("CONSOLE"));
}
