/** Debian's Chromium, headless, that speaks to nobody by itself. */
import { chromium } from "playwright-core";

const QUIET = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"];
const FLAGS = [...QUIET, "disable-component-update", "disable-sync"].map((flag) => `--${flag}`);

/** With a profile, as a person has one: no private window. @param {string} folder */
export function launchWithProfile(folder) {
  return chromium.launchPersistentContext(folder, { executablePath: "/usr/bin/chromium", args: FLAGS });
}

/** @param {string[]} more */
export function launch(...more) {
  return chromium.launch({ executablePath: "/usr/bin/chromium", args: [...FLAGS, ...more] });
}
