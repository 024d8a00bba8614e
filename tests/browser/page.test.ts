import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../worker/harness.ts";
import {
  canRun,
  fixSeed,
  generate,
  launch,
  runInBrowser,
  setSlider,
  stopAfter,
  storyText,
  tokenTexts,
  type Visit,
  visit,
} from "./chromium.ts";

describe.runIf(canRun)("the page", () => {
  let browser: Browser;
  let bundle: string;
  let worker: RunningWorker;
  let open: Visit | undefined;

  beforeAll(async () => {
    bundle = await buildWorker();
    worker = await startWorker(bundle, { vars: { PUBLIC_MODEL: "true" } });
    browser = await launch();
  });
  afterEach(async () => {
    await open?.close();
    open = undefined;
  });
  afterAll(async () => {
    await browser.close();
    await worker.stop();
    await removeBundle(bundle);
  });

  async function enter(
    ...[options]: Parameters<typeof visit> extends [unknown, unknown, ...infer R] ? R : never
  ) {
    open = await visit(browser, worker.url, options);
    return open;
  }

  /** What the endpoint itself answers. */
  async function ask(body: object) {
    const response = await worker.post("/v1/completions", body);
    const answer = (await response.json()) as {
      choices: {
        text: string;
        logprobs: { tokens: string[]; token_logprobs: number[]; top_logprobs: Record<string, number>[] };
      }[];
    };
    return answer.choices[0]!;
  }

  const FIRST = {
    prompt: "Once upon a time",
    temperature: 0.7,
    top_p: 0.95,
    max_tokens: 40,
    seed: 7,
    logprobs: 5,
  };

  test("streams the endpoint's text, token by token, and asks nobody else", async () => {
    const { page, complaints, requests } = await enter();
    await fixSeed(page);
    await setSlider(page, "max_tokens", 40);
    await page.evaluate(() => {
      const story = document.querySelector("#story")!;
      const lengths = new Set<number>();
      new MutationObserver(() => lengths.add(story.textContent!.length)).observe(story, { childList: true });
      Object.assign(window, { lengths });
    });
    await generate(page);
    const expected = await ask(FIRST);
    expect(await storyText(page)).toBe(FIRST.prompt + expected.text);
    expect(await tokenTexts(page)).toEqual(expected.logprobs.tokens);
    const steps = await page.evaluate(() => (window as unknown as { lengths: Set<number> }).lengths.size);
    expect(steps).toBeGreaterThan(5);
    expect(await page.textContent("#count")).toBe("40");
    expect(await page.textContent("#rate")).toMatch(/^\d+$/);
    expect(await page.textContent("#first")).toMatch(/^\d+ ms$/);
    expect(
      new Set(requests.map((request) => new URL(request, worker.url).origin).filter((o) => o !== "null")),
    ).toEqual(new Set([worker.url.origin]));
    expect(complaints).toEqual([]);
  });

  test("shows a token's probability, and what lost to it", async () => {
    const { page, complaints } = await enter();
    await fixSeed(page);
    await setSlider(page, "max_tokens", 40);
    await generate(page);
    const { logprobs } = await ask(FIRST);
    // A token that is not among the five likeliest is listed after them.
    const index = logprobs.top_logprobs.findIndex((top) => Object.keys(top).length === 6);
    expect(index).toBeGreaterThan(-1);
    await page.locator("#story .token").nth(index).hover();
    const likely = (logprob: number) =>
      `${(Math.exp(logprob) * 100).toFixed(Math.exp(logprob) < 0.01 ? 2 : 1)} %`;
    const shown = (token: string) => token.replaceAll(" ", "␣").replaceAll("\n", "⏎");
    const rows = Object.entries(logprobs.top_logprobs[index]!).sort((a, b) => b[1] - a[1]);
    expect(await page.locator("#detail li:not(.others) .label").allTextContents()).toEqual(
      rows.map(([token]) => shown(token)),
    );
    expect(await page.locator("#detail li:not(.others) .value").allTextContents()).toEqual(
      rows.map(([, logprob]) => likely(logprob)),
    );
    expect(await page.locator("#detail .drawn .label").textContent()).toBe(shown(logprobs.tokens[index]!));
    expect(complaints).toEqual([]);
  });

  test("draws a character that takes several tokens once it is whole", async () => {
    const { page, complaints } = await enter();
    const chunk = (text: string, tokens: string[], offsets: number[], finish: string | null) =>
      `data: ${JSON.stringify({
        choices: [
          {
            index: 0,
            text,
            finish_reason: finish,
            logprobs: {
              tokens,
              token_logprobs: tokens.map(() => -1),
              top_logprobs: tokens.map((token) => ({ [token]: -1 })),
              text_offset: offsets,
            },
          },
        ],
      })}\n\n`;
    await page.route("**/v1/completions", (route) =>
      route.fulfill({
        contentType: "text/event-stream",
        body:
          chunk(" a", [" a"], [0], null) +
          ": ping\n\n" +
          chunk("", ["bytes:\\xf0\\x9f"], [2], null) +
          chunk("🦊 <b>", ["bytes:\\xa6\\x8a", " <", "b>"], [2, 3, 5], "length") +
          "data: [DONE]\n\n",
      }),
    );
    await generate(page);
    expect(await tokenTexts(page)).toEqual([" a", "", "🦊", " <", "b>"]);
    expect(await storyText(page)).toBe("Once upon a time a🦊 <b>");
    expect(complaints).toEqual([]);
  });

  test("stops, frees the server, and goes on", async () => {
    const { page, complaints } = await enter();
    await setSlider(page, "max_tokens", 500);
    await stopAfter(page, 6);
    await generate(page);
    const tokens = (await tokenTexts(page)).length;
    expect(tokens).toBeGreaterThanOrEqual(6);
    expect(tokens).toBeLessThan(500);
    expect(await page.textContent("#status")).toBe(`Stopped after ${tokens} tokens.`);
    expect(await page.locator("#error").isHidden()).toBe(true);
    await worker.logged((line) => line.event === "request" && line.outcome === "client_gone");
    await setSlider(page, "max_tokens", 3);
    await generate(page);
    expect(await page.textContent("#count")).toBe("3");
    expect(complaints).toEqual([]);
  });

  test("draws another seed each time only if told to", async () => {
    const { page } = await enter();
    await setSlider(page, "max_tokens", 2);
    const before = await page.inputValue("#seed");
    await generate(page);
    expect(await page.inputValue("#seed")).not.toBe(before);
    await fixSeed(page, 11);
    await generate(page);
    expect(await page.inputValue("#seed")).toBe("11");
  });

  test("tells what the server refused, then works again", async () => {
    const { page } = await enter();
    const prompt = "word ".repeat(600);
    await page.fill("#prompt", prompt);
    await generate(page);
    const refused = await worker.post("/v1/completions", { prompt, max_tokens: 160 });
    const { error } = (await refused.json()) as { error: { message: string } };
    expect(await page.locator("#error").getAttribute("role")).toBe("alert");
    expect(await page.textContent("#error")).toBe(error.message);
    await page.fill("#prompt", "The cat");
    await setSlider(page, "max_tokens", 2);
    await generate(page);
    expect(await page.locator("#error").isHidden()).toBe(true);
    expect(await page.textContent("#count")).toBe("2");
  });

  test("tells that the server is gone", async () => {
    const { page } = await enter();
    await page.context().setOffline(true);
    await generate(page);
    expect(await page.textContent("#error")).toContain("cannot be reached");
  });

  test("writes the same text in the browser, and without the server too", async () => {
    const { page, complaints, requests } = await enter();
    await fixSeed(page);
    await setSlider(page, "max_tokens", 60);
    await generate(page);
    const served = await storyText(page);
    await runInBrowser(page);
    await generate(page);
    expect(await storyText(page)).toBe(served);
    expect(await page.textContent("#place")).toBe("this browser");
    expect(await page.textContent("#verdict")).toBe(
      "Identical to the server's: 60 tokens, every probability equal to the last bit.",
    );
    expect(complaints).toEqual([]);
    await page.context().setOffline(true);
    const before = requests.length;
    await page.fill("#prompt", "Tom and his dog");
    await page.click("#generate");
    await page.locator("#verdict", { hasText: "Written without the server" }).waitFor();
    await page.context().setOffline(false);
    const { text } = await ask({ ...FIRST, prompt: "Tom and his dog", max_tokens: 60 });
    expect(await storyText(page)).toBe(`Tom and his dog${text}`);
    expect(requests.slice(before).map((request) => new URL(request).pathname)).toEqual(["/v1/completions"]);
  });

  test("sees a difference where there is one", async () => {
    const { page } = await enter();
    await fixSeed(page);
    await setSlider(page, "max_tokens", 8);
    await runInBrowser(page);
    await page.route("**/v1/completions", async (route) => {
      const response = await route.fetch();
      const body = (await response.text()).replace(
        /"token_logprobs":\[(-\d+\.\d+)\d/,
        '"token_logprobs":[$1',
      );
      await route.fulfill({ response, body });
    });
    await page.click("#generate");
    await page.locator("#verdict.different").waitFor();
    expect(await page.textContent("#verdict")).toBe("Not the server's text: they part at token 1.");
  });

  test("stops in the browser too, and names what is wrong there", async () => {
    const { page } = await enter();
    await runInBrowser(page);
    await setSlider(page, "max_tokens", 500);
    await stopAfter(page, 6);
    await generate(page);
    const tokens = (await tokenTexts(page)).length;
    expect(tokens).toBeLessThan(500);
    expect(await page.textContent("#status")).toBe(`Stopped after ${tokens} tokens.`);
    await page.fill("#prompt", "word ".repeat(600));
    await generate(page);
    expect(await page.textContent("#error")).toContain("the context is 512");
  });
});
