import { rm } from "node:fs/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { modelWith, TEMPLATE } from "../worker/chat-model.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "../worker/harness.ts";
import {
  answers,
  ask,
  canRun,
  fixSeed,
  generate,
  launch,
  runInBrowser,
  setSlider,
  stopAfter,
  type Visit,
  visit,
} from "./chromium.ts";

interface Message {
  role: string;
  content: string;
}

interface ChatBody {
  messages: Message[];
  max_completion_tokens: number;
  seed: number;
  response_format?: object;
}

describe.runIf(canRun)("the page of a model that chats", () => {
  let browser: Browser;
  let bundle: string;
  let model: string;
  let worker: RunningWorker;
  let narrow: RunningWorker;
  let open: Visit | undefined;

  beforeAll(async () => {
    bundle = await buildWorker();
    model = await modelWith({ chat_template: TEMPLATE });
    worker = await startWorker(bundle, { model, vars: { PUBLIC_MODEL: "true" } });
    narrow = await startWorker(bundle, { model, vars: { PUBLIC_MODEL: "true", CONTEXT: "96" } });
    browser = await launch();
  });
  afterEach(async () => {
    await open?.close();
    open = undefined;
  });
  afterAll(async () => {
    await browser.close();
    await Promise.all([worker.stop(), narrow.stop()]);
    await removeBundle(bundle);
    await rm(model, { recursive: true });
  });

  /** Opens the page; gives also the bodies of what it asks the endpoint. */
  async function enter(server = worker): Promise<Visit & { bodies: ChatBody[] }> {
    const visited = await visit(browser, server.url);
    open = visited;
    const bodies: ChatBody[] = [];
    visited.page.on("request", (request) => {
      if (request.url().endsWith("/v1/chat/completions")) bodies.push(request.postDataJSON() as ChatBody);
    });
    await fixSeed(visited.page);
    await setSlider(visited.page, "max_tokens", 24);
    return { ...visited, bodies };
  }

  /** What the endpoint itself answers. */
  async function endpoint(messages: Message[], more: object = {}) {
    const fields = { temperature: 0.2, top_p: 0.9, seed: 7, max_completion_tokens: 24, ...more };
    const response = await worker.post("/v1/chat/completions", {
      messages,
      ...fields,
      logprobs: true,
      top_logprobs: 5,
    });
    const { choices } = (await response.json()) as {
      choices: {
        message: { content: string };
        logprobs: { content: { token: string; logprob: number; top_logprobs: { token: string }[] }[] };
      }[];
    };
    return choices[0]!;
  }

  const user = (content: string) => ({ role: "user", content });
  const assistant = (content: string) => ({ role: "assistant", content });

  test("holds a conversation of three turns, streaming the endpoint's answers", async () => {
    const { page, complaints, requests } = await enter();
    const before = requests.length;
    await page.evaluate(() => {
      const lengths = new Set<number>();
      const turns = document.querySelector("#turns")!;
      new MutationObserver(() => lengths.add(turns.querySelectorAll(".token").length)).observe(turns, {
        childList: true,
        subtree: true,
      });
      Object.assign(window, { lengths });
    });
    const said: Message[] = [];
    for (const [turn, question] of ["Who are you?", "Tell me more.", "And then?"].entries()) {
      await ask(page, question);
      said.push(user(question));
      const { message } = await endpoint(said);
      said.push(assistant(message.content));
      expect((await answers(page))[turn]).toBe(message.content);
      expect(await page.textContent("#status")).toBe(message.content);
    }
    expect(await page.locator(".said").allTextContents()).toEqual([
      "Who are you?",
      "Tell me more.",
      "And then?",
    ]);
    const lengths = await page.evaluate(() => (window as unknown as { lengths: Set<number> }).lengths.size);
    expect(lengths).toBeGreaterThan(10);
    for (const note of await page.locator(".note").allTextContents())
      expect(note).toMatch(/^\d+ tokens · \d+ a second · first after \d+ ms · the server/);
    expect(requests.slice(before).map((url) => new URL(url).pathname)).toEqual(
      Array(3).fill("/v1/chat/completions"),
    );
    expect(await page.inputValue("#prompt")).toBe("");
    expect(complaints).toEqual([]);
  });

  test("begins with a question of its own choosing", async () => {
    const { page, bodies } = await enter();
    await page.locator(".starters button").nth(1).click();
    await page.locator(".note", { hasText: "tokens" }).waitFor();
    expect(bodies[0]?.messages).toEqual([user("Who discovered gravity?")]);
    expect(await page.locator("#welcome").isVisible()).toBe(false);
  });

  test("shows probabilities when asked to, and not before", async () => {
    const { page } = await enter();
    await ask(page, "Who are you?");
    const { logprobs } = await endpoint([user("Who are you?")]);
    const tokens = page.locator(".answer .token");
    expect(await tokens.count()).toBe(logprobs.content.length);
    expect(await page.locator("#legend").isVisible()).toBe(false);
    expect(await page.locator(".answer").getAttribute("tabindex")).toBe(null);
    // A line break alone has nothing to point at.
    const words = logprobs.content.flatMap(({ token }, index) => (/\w/.test(token) ? [index] : []));
    await tokens.nth(words[0]!).hover();
    await tokens.nth(words[0]!).click();
    expect(await page.locator("#detail").isVisible()).toBe(false);
    await page.check("#probabilities");
    expect(await page.locator("#legend").isVisible()).toBe(true);
    expect(await page.locator(".answer").getAttribute("tabindex")).toBe("0");
    for (const index of words.slice(0, 4)) {
      await tokens.nth(index).hover();
      const { token, logprob, top_logprobs } = logprobs.content[index]!;
      const shown = (text: string) => text.replaceAll(" ", "␣").replaceAll("\n", "⏎");
      const labels = await page.locator("#detail li:not(.others) .label").allTextContents();
      expect(labels.slice(0, 5)).toEqual(top_logprobs.map((other) => shown(other.token)));
      expect(await page.locator("#detail .drawn .label").textContent()).toBe(shown(token));
      const percent = 100 * Math.exp(logprob);
      expect(await page.locator("#detail .drawn .value").textContent()).toBe(
        `${percent.toFixed(percent < 1 ? 2 : 1)} %`,
      );
    }
    await page.uncheck("#probabilities");
    expect(await page.locator("#detail").isVisible()).toBe(false);
  });

  test("stops, keeps what was written, and goes on from there", async () => {
    const { page, bodies } = await enter();
    await setSlider(page, "max_tokens", 256);
    await stopAfter(page, 6);
    await ask(page, "Tell me a long story.");
    const [part] = await answers(page);
    const tokens = await page.locator(".answer .token").count();
    expect(tokens).toBeGreaterThanOrEqual(6);
    expect(tokens).toBeLessThan(256);
    expect(await page.textContent("#status")).toBe(`Stopped after ${tokens} tokens.`);
    expect(await page.textContent(".note")).toMatch(/ · stopped$/);
    await worker.logged((line) => line.event === "request" && line.outcome === "client_gone");
    await setSlider(page, "max_tokens", 4);
    await ask(page, "Go on.");
    expect(bodies[1]?.messages).toEqual([user("Tell me a long story."), assistant(part!), user("Go on.")]);
    expect(await page.locator(".note").last().textContent()).toMatch(/ · cut at the limit of tokens$/);
  });

  test("gives a message back that nothing was said to", async () => {
    const { page } = await enter();
    await page.route("**/v1/chat/completions", () => {});
    await page.fill("#prompt", "Is anybody there?");
    await page.press("#prompt", "Enter");
    await page.locator("#stop").click();
    await page.locator("#generate").waitFor();
    expect(await page.inputValue("#prompt")).toBe("Is anybody there?");
    expect(await page.locator(".turn").count()).toBe(0);
    expect(await page.locator("#error").isHidden()).toBe(true);
    await page.unroute("**/v1/chat/completions");
    await page.context().setOffline(true);
    await generate(page);
    expect(await page.textContent("#error")).toContain("cannot be reached");
    expect(await page.inputValue("#prompt")).toBe("Is anybody there?");
    await page.context().setOffline(false);
    await generate(page);
    expect(await page.locator("#error").isHidden()).toBe(true);
    expect(await page.locator(".turn").count()).toBe(1);
  });

  test("answers again, in place of the last answer", async () => {
    const { page, bodies } = await enter();
    // So that two seeds hardly ever give the same text.
    await setSlider(page, "temperature", 1.5);
    await setSlider(page, "top_p", 1);
    await ask(page, "Who are you?");
    await ask(page, "And who am I?");
    const before = await answers(page);
    await page.check("#vary");
    await page.focus("#regenerate");
    await page.keyboard.press("Enter");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("stop");
    await page.locator("#regenerate").waitFor();
    const after = await answers(page);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
    expect(bodies[2]?.messages).toEqual(bodies[1]?.messages);
    expect(bodies[2]?.seed).not.toBe(7);
    await fixSeed(page);
    await page.click("#regenerate");
    await page.locator("#regenerate").waitFor();
    expect(await answers(page)).toEqual(before);
    // What could not be answered again stays as it was.
    await page.context().setOffline(true);
    await page.click("#regenerate");
    await page.locator("#error").waitFor();
    expect(await answers(page)).toEqual(before);
    await page.context().setOffline(false);
  });

  test("tells the model what the system message says", async () => {
    const { page, bodies } = await enter();
    await page.fill("#system", "Answer like a pirate.");
    await ask(page, "Who are you?");
    const messages = [{ role: "system", content: "Answer like a pirate." }, user("Who are you?")];
    expect(bodies[0]?.messages).toEqual(messages);
    expect(await answers(page)).toEqual([(await endpoint(messages)).message.content]);
  });

  test("keeps the conversation over a reload, until it is told to forget it", async () => {
    const { page, bodies } = await enter();
    await ask(page, "Who are you?");
    await ask(page, "And who am I?");
    const before = await page.locator("#turns").textContent();
    const reload = async () => {
      await page.reload();
      await page.locator("#facts div").first().waitFor();
    };
    await reload();
    expect(await page.locator("#turns").textContent()).toBe(before);
    await page.check("#probabilities");
    await page.locator(".answer .token").nth(2).hover();
    expect(await page.locator("#detail li").count()).toBeGreaterThan(4);
    await ask(page, "Go on.");
    expect(bodies[2]?.messages.map(({ role }) => role)).toEqual([
      ...["user", "assistant", "user", "assistant", "user"],
    ]);
    await page.click("#clear");
    expect(await page.locator(".turn").count()).toBe(0);
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("prompt");
    await reload();
    expect(await page.locator(".turn").count()).toBe(0);
    expect(await page.locator("#welcome").isVisible()).toBe(true);
  });

  /** Puts the example of that name into the field for a schema; gives what the page then asks for. */
  async function trySchema(page: Page, name: string) {
    await page.click("#form-row summary");
    await page.getByRole("button", { name }).click();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("schema");
    expect(await page.locator("#schema").evaluate((field) => field.scrollTop)).toBe(0);
    const schema = JSON.parse(await page.inputValue("#schema")) as { required: string[] };
    return { type: "json_schema", json_schema: { name: "answer", strict: true, schema } };
  }

  test("holds an answer to a schema, and shows it as JSON that grows", async () => {
    const { page, bodies, complaints } = await enter();
    await setSlider(page, "max_tokens", 200);
    const response_format = await trySchema(page, "A person");
    await page.click("#tab-curl");
    expect(await page.textContent("#call")).toContain(JSON.stringify(response_format));
    await page.evaluate(() => {
      const steps = new Set<string>();
      const turns = document.querySelector("#turns")!;
      new MutationObserver(() => steps.add(turns.querySelector(".answer")?.textContent ?? "")).observe(
        turns,
        {
          childList: true,
          subtree: true,
        },
      );
      Object.assign(window, { steps });
    });
    await ask(page, "Who is Tom?");
    const more = { max_completion_tokens: 200, response_format };
    const { message, logprobs } = await endpoint([user("Who is Tom?")], more);
    expect(bodies[0]?.response_format).toEqual(response_format);
    const value = JSON.parse(message.content) as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(response_format.json_schema.schema.required);
    const [shown] = await answers(page);
    expect(JSON.parse(shown!)).toEqual(value);
    expect(shown).toMatch(/^{\n {2}"name": ".*",\n {2}"age": .*,\n {2}"likes": \[.*\]\n}$/s);
    expect(await page.textContent("#status")).toBe(message.content);
    const steps = await page.evaluate(() => [...(window as unknown as { steps: Set<string> }).steps]);
    expect(steps.length).toBeGreaterThan(10);
    for (const step of steps) expect(shown!.startsWith(step), step).toBe(true);
    const answer = page.locator(".answer");
    expect(await answer.evaluate((text) => getComputedStyle(text).fontFamily)).toContain("monospace");

    const tokens = page.locator(".answer .token");
    expect(await tokens.count()).toBe(logprobs.content.length);
    await page.check("#probabilities");
    const index = logprobs.content.findIndex(({ token }) => /^\w+$/.test(token));
    await tokens.nth(index).hover();
    expect(await page.locator("#detail .drawn .label").textContent()).toBe(logprobs.content[index]!.token);

    await page.reload();
    await page.locator("#facts div").first().waitFor();
    expect(await answers(page)).toEqual([shown]);
    expect(await answer.evaluate((text) => getComputedStyle(text).fontFamily)).toContain("monospace");
    // Without a schema, the next answer is plain text; the model sees its own words, not their layout.
    await fixSeed(page);
    await ask(page, "Go on.");
    expect(bodies[1]?.response_format).toBe(undefined);
    expect(bodies[1]?.messages[1]).toEqual(assistant(message.content));
    expect(await answer.last().evaluate((text) => getComputedStyle(text).fontFamily)).toContain("serif");
    expect(complaints).toEqual([]);
  });

  test("writes the same JSON in the browser", async () => {
    const { page, bodies } = await enter();
    await setSlider(page, "max_tokens", 100);
    const response_format = await trySchema(page, "A sentiment");
    await runInBrowser(page);
    await ask(page, "I like bees.");
    await page.locator(".verdict.same").waitFor();
    expect(bodies[0]?.response_format).toEqual(response_format);
    const { message } = await endpoint([user("I like bees.")], {
      response_format,
      max_completion_tokens: 100,
    });
    expect(JSON.parse(message.content)).toEqual({
      sentiment: expect.stringMatching(/^(positive|neutral|negative)$/),
    });
    expect(await answers(page)).toEqual([JSON.stringify(JSON.parse(message.content), null, 2)]);
  });

  test("says at the field what is wrong with a schema, and gives the message back", async () => {
    const { page, bodies, complaints } = await enter();
    const error = page.locator("#schema-error");
    const isInvalid = () => page.getAttribute("#schema", "aria-invalid");
    await page.click("#form-row summary");
    await page.fill("#schema", '{"type": "object"');
    expect(await error.isVisible()).toBe(false);
    await page.press("#schema", "Tab");
    expect(await error.textContent()).toMatch(/^This is no JSON: ./);
    expect(await isInvalid()).toBe("true");
    await page.fill("#schema", '{"type": "object"}');
    expect(await error.isVisible()).toBe(false);
    expect(await isInvalid()).toBe("false");

    const refused = async (schema: string, why: RegExp) => {
      await page.fill("#schema", schema);
      await page.click("#form-row summary");
      await ask(page, "Who are you?");
      expect(await error.textContent()).toMatch(why);
      expect(await error.isVisible()).toBe(true);
      expect(await page.evaluate(() => document.activeElement?.id)).toBe("schema");
      expect(await page.inputValue("#prompt")).toBe("Who are you?");
      expect(await page.locator(".turn").count()).toBe(0);
      expect(await page.locator("#error").isVisible()).toBe(false);
    };
    await refused("{]", /^This is no JSON: ./);
    expect(bodies).toEqual([]);
    const remote = '{"properties": {"a": {"$ref": "https://example.com/schema"}}}';
    await refused(remote, /\$ref.*\/properties\/a|\/properties\/a.*\$ref/);
    expect(bodies).toHaveLength(1);
    expect(complaints).toEqual([expect.stringContaining("400")]);
    await runInBrowser(page);
    await refused(remote, /\$ref.*\/properties\/a|\/properties\/a.*\$ref/);
    expect(bodies).toHaveLength(1);
    await page.fill("#schema", "");
    await page.uncheck("#local");
    await generate(page);
    expect(await page.locator(".turn").count()).toBe(1);
  });

  test("does not go on with what another model said", async () => {
    const { page } = await enter();
    await ask(page, "Who are you?");
    await page.evaluate(() => {
      const chat = JSON.parse(sessionStorage.getItem("edgeformer-chat")!);
      sessionStorage.setItem("edgeformer-chat", JSON.stringify({ ...chat, fingerprint: "fp_other" }));
    });
    await page.reload();
    await page.locator("#facts div").first().waitFor();
    expect(await page.locator(".turn").count()).toBe(0);
  });

  /** Fills the narrow context, in the server or in the browser. */
  async function fill(page: Page): Promise<void> {
    for (const word of ["one", "two", "three", "four", "five"])
      await ask(page, `Say ${word} again and again.`);
  }

  test("forgets the oldest turns where the context is full, and says so", async () => {
    const { page, bodies } = await enter(narrow);
    await fill(page);
    expect(await page.locator(".turn").count()).toBe(5);
    expect(await page.textContent(".gap")).toContain("no longer sees what is above");
    const last = bodies.at(-1)!;
    expect(last.messages.length).toBeLessThan(9);
    expect(last.messages[0]?.role).toBe("user");
    // The gap stands before the first turn that was sent.
    const place = await page.locator("#turns > li").evaluateAll((entries) => {
      return entries.findIndex((entry) => entry.className === "gap");
    });
    expect(await page.locator(".said").nth(place).textContent()).toBe(last.messages[0]?.content);
    expect(last.max_completion_tokens).toBe(24);
    // A message that leaves no room for an answer of the wanted length gets a shorter one.
    await ask(page, "word ".repeat(75));
    expect(bodies.at(-1)?.messages).toHaveLength(1);
    expect(bodies.at(-1)?.max_completion_tokens).toBeLessThan(24);
    expect((await answers(page)).at(-1)).not.toBe("");
    // One that does not fit at all is refused, and the conversation stays.
    const before = await answers(page);
    await ask(page, "word ".repeat(200));
    expect(await page.textContent("#error")).toContain("context holds 96 tokens");
    expect(await answers(page)).toEqual(before);
    expect(await page.inputValue("#prompt")).toBe("word ".repeat(200).trim());
    expect(await page.textContent("#call")).toContain('"max_completion_tokens":24');
  });

  test("fetches nothing of the model unasked, and stops fetching when told to", async () => {
    const { page, requests } = await enter();
    await ask(page, "Who are you?");
    const ofModel = () => requests.filter((url) => /run(ner)?\.js|engine|\/page\/model\//.test(url));
    expect(ofModel()).toEqual([]);
    const offer = await page.textContent("#local-hint");
    expect(offer).toMatch(/^Fetches 11\.8 MB of weights, once\./);
    await page.context().route("**/weights.*", () => {});
    await page.check("#local");
    await page.locator("#local-hint", { hasText: /^Fetching 11\.8 MB; / }).waitFor();
    await expect.poll(ofModel).toContainEqual(expect.stringContaining("/page/model/weights."));
    // Until the model is here, the server answers.
    await ask(page, "And who am I?");
    expect(await page.locator(".note").last().textContent()).toContain("the server");
    await page.uncheck("#local");
    await page.locator("#local-hint", { hasText: offer! }).waitFor();
    expect(await page.locator("#local-progress").isVisible()).toBe(false);
    await page.context().unroute("**/weights.*");
    await runInBrowser(page);
    await ask(page, "Go on.");
    expect(await page.locator(".note").last().textContent()).toContain("this browser");
  });

  test("writes the same answers in the browser, where the context is full too", async () => {
    const { page, complaints, requests } = await enter(narrow);
    await fill(page);
    const served = await answers(page);
    await page.click("#clear");
    expect(requests.some((url) => url.includes("/page/model/"))).toBe(false);
    expect(await page.textContent("#local-hint")).toMatch(/^Fetches 11\.8 MB/);
    await runInBrowser(page);
    await fill(page);
    expect(await answers(page)).toEqual(served);
    const verdicts = await page.locator(".verdict").allTextContents();
    expect(verdicts).toHaveLength(5);
    for (const verdict of verdicts)
      expect(verdict).toMatch(
        /^Identical to the server's: \d+ tokens, every probability equal to the last bit\.$/,
      );
    for (const note of await page.locator(".note").allTextContents()) expect(note).toContain("this browser");
    expect(complaints.filter((complaint) => !complaint.includes("400"))).toEqual([]);
    await ask(page, "word ".repeat(200));
    expect(await page.textContent("#error")).toContain("the context is 96");
  });
});
