import { rm } from "node:fs/promises";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Conversation } from "../../src/chat.ts";
import { run } from "../../src/cli/program.ts";
import { openModel } from "../../src/node/index.ts";
import { modelWith, TEMPLATE } from "../worker/chat-model.ts";
import { cli } from "./run.ts";

let directory: string;
beforeAll(async () => {
  directory = await modelWith({ name: "teller", chat_template: TEMPLATE });
});
afterAll(() => rm(directory, { recursive: true }));

/** Waits until something is true. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** `edgeformer chat` with something at its standard input. */
function talk(
  args: string[],
  { isTerminal = false, signal }: { isTerminal?: boolean; signal?: AbortSignal } = {},
) {
  const stdin = Object.assign(new PassThrough(), { isTTY: isTerminal });
  const stdout = Object.assign(new PassThrough(), { isTTY: isTerminal });
  const said = { stdout: "", stderr: "" };
  stdout.on("data", (data) => {
    said.stdout += String(data);
  });
  const stderr = { write: (text: string) => (said.stderr += text) };
  const code = run(["chat", "--model", directory, ...args], { stdin, stdout, stderr }, signal);
  return { stdin, said, code };
}

const GREEDY = ["--temperature", "0", "--max-tokens", "8"];

/** What the library answers, one after the other. */
async function answers(said: string[], system?: string): Promise<string[]> {
  const model = await openModel(directory);
  const conversation = new Conversation(model, { system });
  const texts: string[] = [];
  for (const text of said) {
    let answer = "";
    for await (const chunk of conversation.say(text, { temperature: 0, maxTokens: 8 })) answer += chunk.text;
    texts.push(answer);
  }
  model.dispose();
  return texts;
}

describe("one question", () => {
  test("is answered once", async () => {
    const { code, stdout, stderr } = await cli([
      "chat",
      "--model",
      directory,
      ...GREEDY,
      "Tell me of a dog.",
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe(`${(await answers(["Tell me of a dog."]))[0]}\n`);
  });

  test("is answered in JSON, with a system message", async () => {
    const flags = ["--json", "--system", "Be brief."];
    const { stdout } = await cli(["chat", "--model", directory, ...GREEDY, ...flags, "Tell me of a dog."]);
    const report = JSON.parse(stdout);
    expect(Object.keys(report)).toEqual(["text", "ids", "finish_reason", "usage"]);
    expect(report.text).toBe((await answers(["Tell me of a dog."], "Be brief."))[0]);
    expect(report.usage.completion_tokens).toBe(report.ids.length);
  });

  test("gets the same answer from the same seed, of 64 bits", async () => {
    const ask = async (seed: string) =>
      (await cli(["chat", "--model", directory, "--max-tokens", "12", "--seed", seed, "A story."])).stdout;
    expect(await ask("18446744073709551615")).toBe(await ask("18446744073709551615"));
    expect(await ask("9007199254740993")).not.toBe(await ask("9007199254740992"));
    const wrong = await cli(["chat", "--model", directory, "--seed", "18446744073709551616", "Hi"]);
    expect(wrong.code).toBe(2);
  });

  test("of a model that cannot chat is refused", async () => {
    const story = await modelWith({});
    const { code, stdout, stderr } = await cli(["chat", "--model", story, "Hi"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/not a chat model: it has no chat template/);
    await rm(story, { recursive: true });
  });
});

describe("along a pipe", () => {
  test("each line is a message, and what was said is remembered", async () => {
    const lines = ["Tell me of a dog.", "And a cat?", "Why?"];
    const { stdin, said, code } = talk(GREEDY);
    stdin.end(`${lines.join("\n\n")}\n`);
    expect(await code).toBe(0);
    expect(said.stdout).toBe((await answers(lines)).map((answer) => `${answer}\n`).join(""));
    expect(said.stderr.match(/^\[8 tokens, [\d.]+ tokens\/s, the first after \d+ ms; cut/gm)).toHaveLength(3);
  });

  test("commands are not said", async () => {
    const { stdin, said, code } = talk(GREEDY);
    stdin.end("One.\n/reset\n/system Be brief.\nTwo.\n/help\n/nonsense \u001b[31m\n//three\n/bye\nNever.\n");
    expect(await code).toBe(0);
    const [one] = await answers(["One."]);
    expect(said.stdout).toBe(
      [one, ...(await answers(["Two.", "/three"], "Be brief."))].map((a) => `${a}\n`).join(""),
    );
    expect(said.stderr).toContain("nothing is remembered");
    expect(said.stderr).toContain("system message: Be brief.");
    expect(said.stderr).toContain("/nonsense is no command");
    expect(said.stderr).toContain("/bye            end");
  });

  test("JSON comes a line for each answer", async () => {
    const { stdin, said, code } = talk([...GREEDY, "--json"]);
    stdin.end("One.\nTwo.\n");
    expect(await code).toBe(0);
    const reports = said.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { text: string });
    expect(reports.map(({ text }) => text)).toEqual(await answers(["One.", "Two."]));
  });

  test("what the template refuses ends it with an error", async () => {
    const strict = await modelWith({ chat_template: "{{ raise_exception('not today') }}" });
    const { code, stderr } = await cli(["chat", "--model", strict, "Hi"]);
    expect(code).toBe(2);
    expect(stderr).toContain("not today");
    await rm(strict, { recursive: true });
  });

  test("a signal ends it", async () => {
    const controller = new AbortController();
    const { said, code } = talk(GREEDY, { signal: controller.signal });
    controller.abort();
    expect(await code).toBe(1);
    expect(said.stderr).toMatch(/abort/);
  });
});

describe("at a terminal", () => {
  const LONG = ["--temperature", "0", "--max-tokens", "400"];

  test("Ctrl-C stops an answer, is a warning between two, and twice the end", async () => {
    const { stdin, said, code } = talk(LONG, { isTerminal: true });
    await until(() => said.stdout.includes("> "));
    stdin.write("Tell me of a dog.\r");
    await until(() => said.stdout.split("dog.")[1]?.includes("e") === true);
    stdin.write("\u0003");
    await until(() => said.stderr.includes("[stopped]"));
    stdin.write("\u0003");
    await until(() => said.stderr.includes("Ctrl-C again"));
    // Whoever says something else goes on.
    stdin.write("/reset\r");
    await until(() => said.stderr.includes("nothing is remembered"));
    stdin.write("\u0003");
    await until(() => said.stderr.split("Ctrl-C again").length === 3);
    stdin.write("\u0003");
    expect(await code).toBe(0);
  });

  test("Ctrl-D ends it", async () => {
    const { stdin, said, code } = talk(GREEDY, { isTerminal: true });
    await until(() => said.stdout.includes("> "));
    stdin.write("\u0004");
    expect(await code).toBe(0);
    expect(said.stderr).toContain("/help shows");
  });

  test("an error is told, and the conversation goes on", async () => {
    const { stdin, said, code } = talk(GREEDY, { isTerminal: true });
    await until(() => said.stdout.includes("> "));
    stdin.write(`${"dog ".repeat(600)}\r`);
    await until(() => said.stderr.includes("shorten it"));
    stdin.write("Hi\r");
    await until(() => said.stderr.includes("8 tokens"));
    stdin.write("/bye\r");
    expect(await code).toBe(0);
  });
});

describe("a conversation", () => {
  test("forgets the oldest turns where the context is full, never the system message", async () => {
    const model = await openModel(directory, { context: 128 });
    const conversation = new Conversation(model, { system: "Be brief." });
    const forgotten: number[] = [];
    for (let i = 0; i < 12; i++) {
      for await (const _ of conversation.say(`Message ${i} of a dog.`, { maxTokens: 10, ignoreEos: true }));
      forgotten.push(conversation.forgotten);
    }
    expect(forgotten[0]).toBe(0);
    expect(forgotten.at(-1)).toBe(2);
    const { messages } = conversation;
    expect(messages[0]).toEqual({ role: "system", content: "Be brief." });
    expect(messages[1]!.role).toBe("user");
    expect(messages.at(-2)).toEqual({ role: "user", content: "Message 11 of a dog." });
    // What does not fit even alone changes nothing.
    const said = async () => {
      for await (const _ of conversation.say("dog ".repeat(200)));
    };
    await expect(said()).rejects.toThrow(/128 tokens, but this message alone makes \d+/);
    expect(conversation.messages).toEqual(messages);
    // Without a limit the answer gets what is left.
    let total = 0;
    for await (const { usage } of conversation.say("Go on.", { ignoreEos: true }))
      total = (usage?.promptTokens ?? 0) + (usage?.completionTokens ?? 0);
    expect(total).toBe(128);
    conversation.reset();
    expect(conversation.messages).toHaveLength(1);
    model.dispose();
  });

  test("remembers an answer that was stopped as far as it went", async () => {
    const model = await openModel(directory);
    const conversation = new Conversation(model);
    let text = "";
    for await (const chunk of conversation.say("Hi", { maxTokens: 20, seed: 1 })) {
      text += chunk.text;
      if (text.length > 5) break;
    }
    expect(conversation.messages.at(-1)).toEqual({ role: "assistant", content: text });
    const aborted = conversation.say("Hi", { signal: AbortSignal.abort() });
    await expect(aborted.next()).rejects.toThrow(/abort/);
    expect(conversation.messages).toHaveLength(2);
    model.dispose();
  });
});
