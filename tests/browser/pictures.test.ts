import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, BrowserContextOptions } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../worker/harness.ts";
import { canRun, fixSeed, generate, launch, runInBrowser, storyText, visit } from "./chromium.ts";

/** Where the pictures go; `PICTURES=docs npm run test:browser -- pictures` makes those of the README. */
const FOLDER = process.env.PICTURES ?? "build/pictures";

const DESKTOP = { viewport: { width: 1180, height: 1100 }, deviceScaleFactor: 1.5 };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
const PICTURES: [string, BrowserContextOptions & { viewport: { width: number; height: number } }][] = [
  ["page-light", { ...DESKTOP, colorScheme: "light" }],
  ["page-dark", { ...DESKTOP, colorScheme: "dark" }],
  ["page-phone", { ...PHONE, colorScheme: "light" }],
];

describe.runIf(canRun)("pictures of the page", () => {
  let browser: Browser;
  let bundle: string;
  let worker: RunningWorker;

  beforeAll(async () => {
    bundle = await buildWorker();
    worker = await startWorker(bundle, { vars: { PUBLIC_MODEL: "true" } });
    browser = await launch();
    await mkdir(FOLDER, { recursive: true });
  });
  afterAll(async () => {
    await browser.close();
    await worker.stop();
    await removeBundle(bundle);
  });

  test.each(PICTURES)("%s", async (name, options) => {
    const { page, close } = await visit(browser, worker.url, options);
    await fixSeed(page, 21);
    // The first text is also the engine's warm-up; the second is the one in the picture, written in the browser.
    await generate(page);
    const served = await storyText(page);
    await runInBrowser(page);
    await generate(page);
    expect(await storyText(page)).toBe(served);
    await page.locator("#verdict.same").waitFor();
    const token = page.locator("#story .token", { hasText: /\w{3}/ }).nth(9);
    if (options.hasTouch) {
      await page.locator(".result").evaluate((card) => card.scrollIntoView());
      await token.tap();
    } else await token.hover();
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
