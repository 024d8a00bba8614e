import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, BrowserContextOptions } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildWorker, type RunningWorker, removeBundle } from "../worker/harness.ts";
import { answers, ask, canRun, fixSeed, launch, runInBrowser, visit } from "./chromium.ts";
import { startSmolLm2, wheel } from "./smollm2.ts";

if ("missing" in wheel)
  console.warn(`SKIPPED: ${wheel.missing}. The pictures show the real model and are not made.`);

/** Where the pictures go; `PICTURES=docs npm run test:browser -- pictures` makes those of the README. */
const FOLDER = process.env.PICTURES ?? "build/pictures";

const DESKTOP = { viewport: { width: 1180, height: 1040 }, deviceScaleFactor: 1.5 };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
const PICTURES: [string, BrowserContextOptions & { viewport: { width: number; height: number } }][] = [
  ["page-light", { ...DESKTOP, colorScheme: "light" }],
  ["page-dark", { ...DESKTOP, colorScheme: "dark" }],
  ["page-phone", { ...PHONE, colorScheme: "light" }],
];

describe.runIf(canRun && !("missing" in wheel))("pictures of the page", () => {
  let browser: Browser;
  let bundle: string;
  let worker: RunningWorker;

  beforeAll(async () => {
    bundle = await buildWorker();
    worker = await startSmolLm2(bundle);
    browser = await launch();
    await mkdir(FOLDER, { recursive: true });
  });
  afterAll(async () => {
    await browser?.close();
    await worker?.stop();
    if (bundle) await removeBundle(bundle);
  });

  test.each(PICTURES)("%s", async (name, options) => {
    const { page, close } = await visit(browser, worker.url, options);
    await fixSeed(page);
    await ask(page, "What is the capital of France?");
    await ask(page, "What is it famous for?");
    // The last answer is written in the browser.
    await runInBrowser(page);
    await page.check("#probabilities");
    await ask(page, "Why do people go there?");
    expect((await answers(page))[0]).toBe("The capital of France is Paris.");
    await page.locator(".verdict.same").waitFor();
    const token = page.locator(".turn").nth(1).locator(".token", { hasText: "iconic" }).first();
    if (options.hasTouch) await token.tap();
    else {
      await page.evaluate(() => scrollTo(0, 0));
      await token.hover();
    }
    await page.locator("#detail").waitFor();
    const picture = await page.screenshot();
    await writeFile(join(FOLDER, `${name}.png`), picture);
    // A PNG's width and height are the first fields of its header.
    expect([picture.readUInt32BE(16), picture.readUInt32BE(20)]).toEqual([
      options.viewport.width * (options.deviceScaleFactor ?? 1),
      options.viewport.height * (options.deviceScaleFactor ?? 1),
    ]);
    await close();
  });
});
