import { rm } from "node:fs/promises";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { modelWith, TEMPLATE } from "../worker/chat-model.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../worker/harness.ts";
import {
  ask,
  canRun,
  finished,
  fixSeed,
  generate,
  launch,
  runInBrowser,
  setSlider,
  type Visit,
  visit,
} from "./chromium.ts";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** Every rule of axe that the page breaks, with the elements at fault. */
async function violations(page: Page): Promise<string[]> {
  // The page's policy admits no foreign script; the driver puts it in past the policy.
  await page.evaluate(await import("node:fs/promises").then((fs) => fs.readFile(AXE, "utf8")));
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html}: ${node.failureSummary}`),
  );
}

describe.runIf(canRun)("the page, for everyone", () => {
  let browser: Browser;
  let bundle: string;
  let worker: RunningWorker;
  let model: string;
  let chat: RunningWorker;
  let open: Visit | undefined;

  beforeAll(async () => {
    bundle = await buildWorker();
    worker = await startWorker(bundle, { vars: { PUBLIC_MODEL: "true", STAND_IN_FOR: "another" } });
    model = await modelWith({ chat_template: TEMPLATE });
    chat = await startWorker(bundle, { model, vars: { PUBLIC_MODEL: "true" } });
    browser = await launch();
  });
  afterEach(async () => {
    await open?.close();
    open = undefined;
  });
  afterAll(async () => {
    await browser.close();
    await Promise.all([worker.stop(), chat.stop()]);
    await removeBundle(bundle);
    await rm(model, { recursive: true });
  });

  async function enter(options?: BrowserContextOptions, server = worker): Promise<Page> {
    open = await visit(browser, server.url, options);
    return open.page;
  }

  const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
  const LOOKS: [string, BrowserContextOptions][] = [
    ["light", { colorScheme: "light" }],
    ["dark", { colorScheme: "dark" }],
    ["a phone", { ...PHONE, colorScheme: "light" }],
    ["a phone in the dark", { ...PHONE, colorScheme: "dark" }],
  ];

  test.each(LOOKS)("a completion breaks no rule of axe: %s", async (_, options) => {
    const page = await enter(options);
    expect(await violations(page)).toEqual([]);
    await fixSeed(page);
    await runInBrowser(page);
    await generate(page);
    await page.locator("#verdict.same").waitFor();
    await page.locator("#story .token").nth(20).click();
    await page.locator("#more").evaluate((more: HTMLDetailsElement) => {
      more.open = true;
    });
    expect(await page.locator("#detail").isVisible()).toBe(true);
    expect(await violations(page)).toEqual([]);
    await page.fill("#prompt", "word ".repeat(600));
    await generate(page);
    expect(await page.locator("#error").isVisible()).toBe(true);
    expect(await violations(page)).toEqual([]);
  });

  test.each(LOOKS)("a chat breaks no rule of axe: %s", async (_, options) => {
    const page = await enter(options, chat);
    expect(await violations(page)).toEqual([]);
    await fixSeed(page);
    await setSlider(page, "max_tokens", 30);
    await ask(page, "Who are you?");
    await runInBrowser(page);
    await page.check("#probabilities");
    await ask(page, "And who am I?");
    await page.locator(".verdict.same").waitFor();
    await page.locator(".answer").last().locator(".token", { hasText: /\w{3}/ }).nth(1).click();
    await page.locator("#more").evaluate((more: HTMLDetailsElement) => {
      more.open = true;
    });
    expect(await page.locator("#detail").isVisible()).toBe(true);
    expect(await violations(page)).toEqual([]);
    // An answer that is held to a schema, and a schema that cannot be.
    await setSlider(page, "max_tokens", 100);
    await page.click("#form-row summary");
    await page.getByRole("button", { name: "A sentiment" }).click();
    await ask(page, "I like bees.");
    await page.locator(".answer.json .token", { hasText: /\w/ }).first().click();
    expect(await page.locator("#detail").isVisible()).toBe(true);
    expect(await violations(page)).toEqual([]);
    await page.fill(
      "#schema",
      `{"properties": {"${"a".repeat(80)}": {"$ref": "https://example.com/schema"}}}`,
    );
    await ask(page, "I like bees.");
    expect(await page.locator("#schema-error").isVisible()).toBe(true);
    const { width } = page.viewportSize()!;
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
    expect(await violations(page)).toEqual([]);
    await page.fill("#schema", "");
    await setSlider(page, "max_tokens", 30);
    // A context that is full, and a message that does not fit.
    await ask(page, "word ".repeat(460));
    expect(await page.locator(".gap").isVisible()).toBe(true);
    await ask(page, "word ".repeat(600));
    expect(await page.locator("#error").isVisible()).toBe(true);
    expect(await violations(page)).toEqual([]);
  });

  test("shows its switches as the system's where the system chooses the colours", async () => {
    const page = await enter({ forcedColors: "active" }, chat);
    for (const id of ["#probabilities", "#local"])
      expect(await page.locator(id).evaluate((input) => getComputedStyle(input).appearance)).toBe("auto");
    expect(await violations(page)).toEqual([]);
  });

  test("fits a narrow phone: nothing sticks out, and the alternatives neither", async () => {
    const page = await enter({ viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true });
    await fixSeed(page);
    await generate(page);
    const tokens = page.locator("#story .token");
    for (const index of [0, 3, 5, 20]) {
      await tokens.nth(index).tap();
      const box = (await page.locator("#detail").boundingBox())!;
      expect(box.x).toBeGreaterThanOrEqual(0);
      expect(box.x + box.width).toBeLessThanOrEqual(320);
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
  });

  test("a chat fits a narrow phone, and keeps the end of what is written above the line to write in", async () => {
    const phone = { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true };
    const page = await enter(phone, chat);
    await fixSeed(page);
    for (const message of ["Who are you?", "Tell me all about it.", "And then?"]) {
      await ask(page, message);
      const end = (await page.locator(".foot").last().boundingBox())!;
      const composer = (await page.locator("#composer").boundingBox())!;
      expect(end.y + end.height).toBeLessThanOrEqual(composer.y + 1);
      expect(composer.y + composer.height).toBeLessThanOrEqual(641);
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
    // Where there is no keyboard, Enter begins a line and the button sends.
    await page.tap("#prompt");
    await page.keyboard.type("one");
    await page.keyboard.press("Enter");
    await page.keyboard.type("two");
    expect(await page.inputValue("#prompt")).toBe("one\ntwo");
    // Who scrolls up to read at the first token is left there while the others come.
    await page.evaluate(() => {
      const places: number[] = [];
      new MutationObserver(() => {
        if (document.querySelector("[aria-busy='true'] .token") === null) return;
        if (places.length === 0) scrollTo(0, 0);
        places.push(scrollY);
      }).observe(document.querySelector("#turns")!, { childList: true, subtree: true });
      Object.assign(window, { places });
    });
    await page.tap("#generate");
    await finished(page);
    const places = await page.evaluate(() => (window as unknown as { places: number[] }).places);
    expect(places.length).toBeGreaterThan(1);
    expect(new Set(places)).toEqual(new Set([0]));
  });

  test("works by keyboard alone", async () => {
    const page = await enter();
    await fixSeed(page);
    await setSlider(page, "max_tokens", 30);
    await page.evaluate(() => {
      (document.activeElement as HTMLElement).blur();
      getSelection()?.removeAllRanges();
    });
    const focused = () => page.evaluate(() => document.activeElement?.id ?? "");
    /** Presses a key until an element has the focus. */
    const reach = async (id: string, key = "Tab") => {
      for (let presses = 0; (await focused()) !== id; presses++) {
        expect(presses, `${key} never reaches #${id}`).toBeLessThan(60);
        await page.keyboard.press(key);
      }
    };
    await page.keyboard.press("Tab");
    await reach("prompt");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("The little cat");
    await page.keyboard.press("Control+Enter");
    await finished(page);
    expect(await page.textContent("#story")).toMatch(/^The little cat./);

    await reach("story");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    const second = await page.locator("#story .token").nth(1).textContent();
    expect(await page.locator("#story .current").textContent()).toBe(second);
    expect(await page.textContent("#status")).toMatch(/^“.+”, [\d.<]+.%\. Instead of “/);
    await page.keyboard.press("End");
    expect(await page.locator("#story .token").last().getAttribute("class")).toContain("current");
    await page.keyboard.press("Escape");
    expect(await page.locator("#detail").isHidden()).toBe(true);

    await reach("generate", "Shift+Tab");
    await page.keyboard.press("Enter");
    await finished(page);
    expect(await focused()).toBe("generate");

    await reach("local");
    await page.keyboard.press("Space");
    await page.locator("#local-hint", { hasText: "Loaded" }).waitFor();

    await reach("tab-curl");
    await page.keyboard.press("ArrowRight");
    expect(await focused()).toBe("tab-openai");
    expect(await page.textContent("#call")).toContain("new OpenAI(");
  });

  test("a chat works by keyboard alone", async () => {
    const page = await enter(undefined, chat);
    await fixSeed(page);
    await setSlider(page, "max_tokens", 30);
    const focused = () =>
      page.evaluate(() => document.activeElement?.id || document.activeElement?.className);
    const reach = async (name: string, key = "Tab") => {
      for (let presses = 0; (await focused()) !== name; presses++) {
        expect(presses, `${key} never reaches ${name}`).toBeLessThan(60);
        await page.keyboard.press(key);
      }
    };
    await page.focus(".skip");
    await page.keyboard.press("Enter");
    await reach("prompt");
    await page.keyboard.type("Who are");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("you?");
    await page.keyboard.press("Enter");
    await finished(page);
    expect(await focused()).toBe("prompt");
    expect(await page.textContent(".said")).toBe("Who are\nyou?");
    expect(await page.textContent("#status")).toBe(await page.textContent(".answer"));

    await reach("probabilities", "Shift+Tab");
    await page.keyboard.press("Space");
    // What is tabbed to is not behind the line to write in.
    await page.setViewportSize({ width: 800, height: 480 });
    await reach("regenerate");
    const button = (await page.locator("#regenerate").boundingBox())!;
    expect(button.y + button.height).toBeLessThanOrEqual((await page.locator("#composer").boundingBox())!.y);
    await reach("probabilities", "Shift+Tab");
    await reach("answer text");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    const second = await page.locator(".answer .token").nth(1).textContent();
    expect(await page.locator(".answer .current").textContent()).toBe(second);
    expect(await page.textContent("#status")).toMatch(/^(“.+”|line break), [\d.<]+.%\. Instead of “/);
    await page.keyboard.press("Escape");
    expect(await page.locator("#detail").isHidden()).toBe(true);

    await reach("seed");
    for (const key of ["Tab", "Tab", "Space"]) await page.keyboard.press(key);
    await reach("schema");
    for (const key of ["Tab", "Enter"]) await page.keyboard.press(key);
    expect(await focused()).toBe("schema");
    expect(await page.inputValue("#schema")).toContain('"age"');
    await page.focus("#prompt");
    await page.keyboard.type("Who is Tom?");
    await page.keyboard.press("Control+Enter");
    await finished(page);

    await reach("regenerate");
    await page.keyboard.press("Enter");
    await finished(page);
    await reach("prompt", "Shift+Tab");
    await setSlider(page, "max_tokens", 256);
    await page.focus("#prompt");
    await page.keyboard.type("Tell me a long story.");
    await page.keyboard.press("Enter");
    await page.locator("[aria-busy='true'] .token").nth(3).waitFor();
    await page.keyboard.press("Escape");
    await finished(page);
    expect(await page.textContent("#status")).toMatch(/^Stopped after \d+ tokens\.$/);
    await reach("clear", "Shift+Tab");
    await page.keyboard.press("Enter");
    expect(await focused()).toBe("prompt");
  });

  test("stops at Escape", async () => {
    const page = await enter();
    await setSlider(page, "max_tokens", 500);
    await page.focus("#prompt");
    await page.keyboard.press("Control+Enter");
    await page.locator("#story .token").nth(3).waitFor();
    await page.keyboard.press("Escape");
    await finished(page);
    expect(await page.textContent("#status")).toMatch(/^Stopped after \d+ tokens\.$/);
  });

  test("says that it needs scripts where they are blocked", async () => {
    const page = await enter({ javaScriptEnabled: false });
    expect(await page.locator("#needs-script").isVisible()).toBe(true);
    expect(await page.locator("#needs-script").textContent()).toContain("needs JavaScript");
    expect(await page.locator("#form").isVisible()).toBe(false);
  });
});
