import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { transform } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bundledModel } from "../../src/node/index.ts";
import type { Facts } from "../../worker/page/shared/facts.ts";
import { modelWith, TEMPLATE } from "../worker/chat-model.ts";
import {
  buildWorker,
  type RunningWorker,
  removeBundle,
  type StartOptions,
  startWorker,
} from "../worker/harness.ts";
import {
  answers,
  ask,
  canRun,
  fixSeed,
  generate,
  launch,
  runInBrowser,
  setSlider,
  storyText,
  visit,
} from "./chromium.ts";

const run = promisify(execFile);
const ROOT = new URL("../../", import.meta.url).pathname;

/** What opening the page costs; the model and what runs it in the browser come only when asked for. */
const PAGE = ["/", "/page/style.css", "/page/app.js"];
const CLOSED = [
  "/page/local-run.js",
  "/page/runner.js",
  "/page/engine.wasm",
  "/page/model/model.json",
  "/page/model/tokenizer.bin",
  "/page/model/weights.00.bin",
];

describe.runIf(canRun)("serving the page", () => {
  let browser: Browser;
  let bundle: string;
  let running: RunningWorker | undefined;

  beforeAll(async () => {
    bundle = await buildWorker();
    browser = await launch();
  });
  afterEach(async () => {
    await running?.stop();
    running = undefined;
  });
  afterAll(async () => {
    await browser.close();
    await removeBundle(bundle);
  });

  async function start(options: StartOptions): Promise<RunningWorker> {
    running = await startWorker(bundle, options);
    return running;
  }

  test("weighs at most 45 KB, under a policy without inline scripts, and is not sent twice", async () => {
    const { url } = await start({});
    let weight = 0;
    for (const path of PAGE) {
      const response = await fetch(new URL(path, url));
      const policy = response.headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toContain("unsafe-inline");
      expect(policy).not.toContain("'unsafe-eval'");
      weight += (await response.arrayBuffer()).byteLength;
      const etag = response.headers.get("etag") ?? "";
      const again = await fetch(new URL(path, url), { headers: { "if-none-match": etag } });
      expect(again.status).toBe(304);
    }
    expect(weight).toBeLessThanOrEqual(45_000);
    const { page, requests, close } = await visit(browser, url);
    await generate(page);
    await close();
    const asked = requests.filter((request) => request.startsWith("http")).map((r) => new URL(r).pathname);
    expect(asked).toEqual([...PAGE, "/page/facts.json", "/v1/completions"]);
  });

  test("keeps the weights to itself unless told otherwise", async () => {
    const { url } = await start({});
    for (const path of [...CLOSED, "/weights.00.bin", "/model.json"])
      expect((await fetch(new URL(path, url))).status, path).toBe(404);
    const { page, close } = await visit(browser, url);
    expect(await page.locator("#local-row").isVisible()).toBe(false);
    expect(await page.locator("#local-hint").isVisible()).toBe(false);
    await close();
  });

  test("tells which model it stands in for, and nothing of the kind otherwise", async () => {
    const factsOf = async ({ url }: RunningWorker) => {
      const facts = (await (await fetch(new URL("/page/facts.json", url))).json()) as Facts;
      return facts.standIn;
    };
    expect(await factsOf(await start({}))).toBe(null);
    const usual = await visit(browser, running!.url);
    expect(await usual.page.locator("#stand-in").isVisible()).toBe(false);
    await usual.close();
    await running?.stop();
    const { url } = await start({ vars: { STAND_IN_FOR: "a-better-model" } });
    const standIn = await factsOf(running!);
    expect(standIn?.missing).toBe("a-better-model");
    expect(standIn?.how).toContain("edgeformer pull a-better-model");
    const { page, close } = await visit(browser, url);
    expect(await page.textContent("#stand-in")).toBe(
      `a-better-model is not on this machine, so fable stands in for it. ${standIn?.how}`,
    );
    await close();
  });

  test("with PUBLIC_MODEL gives out the model's files and no others, within the rate limit", async () => {
    const { url } = await start({ vars: { PUBLIC_MODEL: "true" }, rateLimit: CLOSED.length + 3 });
    for (const path of CLOSED) expect((await fetch(new URL(path, url))).status, path).toBe(200);
    for (const path of ["/page/model/README.md", "/page/model/..%2fmodel.json"])
      expect((await fetch(new URL(path, url))).status, path).toBe(404);
    await fetch(new URL("/page/model/model.json", url));
    expect((await fetch(new URL("/page/model/model.json", url))).status).toBe(429);
  });

  test("asks for a key where the server does, and sends it", async () => {
    const { url } = await start({ vars: { API_KEYS: "sk-right" } });
    const { page, close } = await visit(browser, url);
    await setSlider(page, "max_tokens", 3);
    await page.fill("#key", "sk-wrong");
    await generate(page);
    expect(await page.textContent("#error")).toContain("API key");
    await page.fill("#key", "sk-right");
    await generate(page);
    expect(await page.locator("#error").isHidden()).toBe(true);
    expect(await page.textContent("#count")).toBe("3");
    expect(await page.textContent("#call")).toContain("$API_KEY");
    expect(await page.textContent("#call")).not.toContain("sk-right");
    await close();
  });

  test("says so when the model cannot be loaded", async () => {
    const { url } = await start({ files: () => new Response("gone", { status: 404 }) });
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(url.href);
    await page.locator("#error").waitFor();
    expect(await page.textContent("#error")).toContain("model.json");
    await context.close();
  });

  test("loads it after all when asked again", async () => {
    let isGone = true;
    const { url } = await start({
      vars: { LOAD_RETRY_MS: "0" },
      files: async (path) =>
        isGone
          ? new Response("gone", { status: 404 })
          : new Response(await readFile(join(bundledModel(), path))),
    });
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(url.href);
    await page.locator("#again").waitFor();
    isGone = false;
    await page.click("#again");
    await page.locator("#facts div").first().waitFor();
    await setSlider(page, "max_tokens", 3);
    await generate(page);
    expect(await page.textContent("#count")).toBe("3");
    await context.close();
  });

  test("takes and shows token ids where the model has no tokenizer", async () => {
    const folder = await mkdtemp(join(ROOT, "build", "model-"));
    const model = join(folder, "odd");
    try {
      const args = ["dist/src/cli/main.js", "convert", "tests/fixtures/odd-gpt2", "--out", model];
      await run(process.execPath, args, { cwd: ROOT });
      const worker = await start({ model, vars: { PUBLIC_MODEL: "true" } });
      const { page, complaints, close } = await visit(browser, worker.url);
      await fixSeed(page, 3);
      await page.fill("#prompt", "5, 17 2");
      await setSlider(page, "max_tokens", 6);
      await generate(page);
      const body = { prompt: [5, 17, 2], max_tokens: 6, temperature: 0.7, top_p: 0.95, seed: 3 };
      const answer = (await (await worker.post("/v1/completions", body)).json()) as {
        choices: { token_ids: number[] }[];
      };
      expect(await storyText(page)).toBe(`5 17 2 ${answer.choices[0]?.token_ids.join(" ")} `);
      await runInBrowser(page);
      await generate(page);
      await page.locator("#verdict.same").waitFor();
      expect(complaints).toEqual([]);
      await close();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  async function call(page: Page, tab: string): Promise<string> {
    await page.click(`#tab-${tab}`);
    return (await page.locator("#call code").textContent()) ?? "";
  }

  /** What each call of the page prints when it is run as it stands. */
  async function textsOf(page: Page): Promise<Record<string, string>> {
    const { stdout } = await run("sh", ["-c", await call(page, "curl")]);
    const pieces = stdout.split("\n").flatMap((line) => {
      if (!line.startsWith("data: {")) return [];
      const { choices } = JSON.parse(line.slice(6)) as {
        choices: { text?: string; delta?: { content?: string } }[];
      };
      return choices.map(({ text, delta }) => text ?? delta?.content ?? "");
    });
    const texts: Record<string, string> = { curl: pieces.join("") };
    // Inside the package, so that its own name and the OpenAI client are found.
    const folder = await mkdtemp(join(ROOT, "build", "calls-"));
    try {
      for (const tab of ["openai", "library"]) {
        const { code } = await transform(await call(page, tab), { loader: "ts", format: "esm" });
        await writeFile(join(folder, `${tab}.mjs`), code);
        const result = await run(process.execPath, [join(folder, `${tab}.mjs`)], { cwd: ROOT });
        texts[tab] = result.stdout;
      }
    } finally {
      await rm(folder, { recursive: true });
    }
    return texts;
  }

  test("shows calls that continue a conversation as it was continued", async () => {
    // Where the library's call looks for the model.
    const folder = await mkdtemp(join(ROOT, "models", "chat-"));
    try {
      const chat_template = `{{ strftime_now('%Y') }}\n${TEMPLATE}`;
      const model = await modelWith({ chat_template, name: basename(folder) });
      await cp(model, folder, { recursive: true });
      const { url } = await start({ model });
      const { page, close } = await visit(browser, url);
      await fixSeed(page, 5);
      await page.fill("#system", `It's "Tom",\nsaid \\ Lily`);
      await setSlider(page, "max_tokens", 24);
      await page.click("#more summary");
      await setSlider(page, "top_k", 40);
      await page.fill("#stop_text", "zebra's");
      expect(await call(page, "curl")).toContain("Why is the sky blue?");
      await ask(page, "Who's there?");
      await ask(page, "And who else?");
      const shown = (await answers(page))[1]!;
      expect(shown).not.toBe("");
      expect(await textsOf(page)).toEqual({ curl: shown, openai: shown, library: shown });
      await setSlider(page, "max_tokens", 100);
      await page.click("#form-row summary");
      await page.getByRole("button", { name: "A sentiment" }).click();
      await ask(page, "Is it good?");
      const json = (await page.textContent("#status"))!;
      expect(json).toMatch(/^\s*{\s*"/);
      expect(await textsOf(page)).toEqual({ curl: json, openai: json, library: json });
      await close();
      await rm(model, { recursive: true });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("shows calls that give the text that it shows, and copies them", async () => {
    const { url } = await start({});
    const { page, close } = await visit(browser, url, { permissions: ["clipboard-read", "clipboard-write"] });
    await fixSeed(page, 5);
    await page.fill("#prompt", `It's "Tom",\nsaid \\ Lily`);
    await setSlider(page, "max_tokens", 24);
    await page.click("#more summary");
    await setSlider(page, "top_k", 40);
    await setSlider(page, "repetition_penalty", 1.1);
    await page.fill("#stop_text", "zebra's");
    await generate(page);
    const shown = (await storyText(page)).slice(`It's "Tom",\nsaid \\ Lily`.length);

    expect(await textsOf(page)).toEqual({ curl: shown, openai: shown, library: shown });

    await page.click("#copy");
    await page.locator("#copy", { hasText: "Copied" }).waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    expect(copied).toBe(await page.locator("#call code").textContent());
    await close();
  });
});
