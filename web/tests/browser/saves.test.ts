/** An image comes by drop, paste or click; what is saved of it is what was found. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { last, launch, open, PYTHON, segment } from "./harness";

const image = join(inject("drawn"), "polyp.png");
let browser: Browser;
let page: Page;
beforeAll(async () => {
  browser = await launch();
  page = await open(browser, `${inject("url")}?model=polyp`);
});
afterAll(() => browser.close());

test.each(["drop", "paste"])("by %s an image is segmented as by choice", async (way) => {
  const chosen = await segment(page, image);
  await page.evaluate(
    ({ way, base64 }) => {
      window.lvunet.last = null;
      const transfer = new DataTransfer();
      transfer.items.add(
        new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], "a.png", { type: "image/png" }),
      );
      const common = { bubbles: true, cancelable: true };
      const event =
        way === "drop"
          ? new DragEvent("drop", { ...common, dataTransfer: transfer })
          : new ClipboardEvent("paste", { ...common, clipboardData: transfer });
      (document.querySelector("#stage") as Element).dispatchEvent(event);
    },
    { way, base64: readFileSync(image, "base64") },
  );
  await page.waitForFunction(() => window.lvunet.last !== null);
  expect((await last(page)).probability).toEqual(chosen.probability);
});

async function saved(button: string): Promise<[string, string]> {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
  return [download.suggestedFilename(), await download.path()];
}

describe("what is saved", () => {
  beforeAll(() => segment(page, image));

  test("as mask and overlay is what Python draws for the same image", async () => {
    const [mask, maskFile] = await saved("#save-mask");
    const [overlay, overlayFile] = await saved("#save-overlay");
    expect([mask, overlay]).toEqual(["polyp-mask.png", "polyp-overlay.png"]);
    const opacity = (await page.inputValue("#opacity")) as string;
    const script = join(import.meta.dirname, "saved.py");
    const answer = JSON.parse(
      execFileSync(PYTHON, [script, "polyp", image, maskFile, overlayFile, opacity], { encoding: "utf8" }),
    );
    expect(answer).toMatchObject({ area_px: (await last(page)).area_px, height: 480, width: 640 });
    expect(answer).toMatchObject({ mode: "L", levels: [0, 255], differing: 0 });
    expect(answer.painted_otherwise, "more than 2 grey levels off, of all pixels").toBeLessThan(0.001);
  });

  test("as numbers is what the page shows", async () => {
    const [name, file] = await saved("#save-json");
    expect(name).toBe("polyp.json");
    const numbers = JSON.parse(readFileSync(file, "utf8"));
    const { probability: _, ...shown } = await last(page);
    expect(numbers).toMatchObject(shown);
    expect(numbers.intended_use).toMatch(/Not a medical device/);
  });
});

test.each([
  ["window.dcm", [0.2, 0.3]],
  ["ultrasound.dcm", [0.2, 0.2]],
])("the spacing of %s turns pixels into millimetres", async (file, [down, across]) => {
  const found = await segment(page, join(inject("drawn"), file));
  expect(found.area_px).toBeGreaterThan(0);
  expect(found.area_mm2).toBeCloseTo(found.area_px * (down as number) * (across as number), 6);
  expect(found.diameter_mm).toBeGreaterThan(found.diameter_px * 0.2 - 1e-9);
  expect(found.diameter_mm).toBeLessThanOrEqual(found.diameter_px * (across as number) + 1e-9);
  expect(await page.textContent("#area")).toMatch(/mm²/);
});
