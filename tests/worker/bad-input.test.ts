import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { sourceOf } from "../../worker/json.ts";
import { errorShape } from "../../worker/openai/answer-schemas.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "./harness.ts";

let bundle: string;
let worker: RunningWorker;

beforeAll(async () => {
  bundle = await buildWorker();
  worker = await startWorker(bundle);
}, 60_000);
afterAll(async () => {
  await worker.stop();
  await removeBundle(bundle);
});

/** Whatever went before, a good request works. */
afterEach(async () => {
  const response = await worker.post("/v1/completions", { prompt: "Once", max_tokens: 2, temperature: 0 });
  expect(response.status).toBe(200);
  expect(((await response.json()) as { usage: object }).usage).toMatchObject({ completion_tokens: 2 });
});

async function refusal(response: Response, status: number) {
  expect(response.status).toBe(status);
  expect(response.headers.get("content-type")).toContain("application/json");
  const { error } = errorShape.parse(await response.json());
  expect(error.message).not.toBe("");
  return error;
}

const refuse = async (body: unknown, status = 400) =>
  refusal(await worker.post("/v1/completions", body), status);

describe("fields", () => {
  const cases: [name: string, body: Record<string, unknown>, param: string][] = [
    ["no prompt", {}, "prompt"],
    ["null prompt", { prompt: null }, "prompt"],
    ["empty list", { prompt: [] }, "prompt"],
    ["list with an empty list", { prompt: [[1], []] }, "prompt"],
    ["mixed list", { prompt: ["a", 1] }, "prompt"],
    ["number", { prompt: 7 }, "prompt"],
    ["object", { prompt: { text: "a" } }, "prompt"],
    ["negative id", { prompt: [-1] }, "prompt"],
    ["fractional id", { prompt: [1.5] }, "prompt"],
    ["id beyond the vocabulary", { prompt: [50_257] }, "prompt"],
    ["huge id", { prompt: [1e300] }, "prompt"],
    ["prompt longer than the context", { prompt: "word ".repeat(600) }, "prompt"],
    ["prompt far longer than the context", { prompt: "word ".repeat(60_000) }, "prompt"],
    ["one endless word", { prompt: "a".repeat(60_000) }, "prompt"],
    ["prompt and completion longer than the context", { prompt: "a", max_tokens: 512 }, "prompt"],
    ["max_tokens 0 without echo", { prompt: "a", max_tokens: 0 }, "max_tokens"],
    ["negative max_tokens", { prompt: "a", max_tokens: -1 }, "max_tokens"],
    ["fractional max_tokens", { prompt: "a", max_tokens: 1.5 }, "max_tokens"],
    ["max_tokens as text", { prompt: "a", max_tokens: "5" }, "max_tokens"],
    ["temperature below 0", { prompt: "a", temperature: -0.1 }, "temperature"],
    ["temperature above 2", { prompt: "a", temperature: 2.1 }, "temperature"],
    ["temperature as text", { prompt: "a", temperature: "1" }, "temperature"],
    ["top_p above 1", { prompt: "a", top_p: 1.01 }, "top_p"],
    ["top_k beyond the vocabulary", { prompt: "a", top_k: 1e9 }, "top_k"],
    ["min_p below 0", { prompt: "a", min_p: -1 }, "min_p"],
    ["n of 0", { prompt: "a", n: 0 }, "n"],
    ["n beyond the cap", { prompt: "a", n: 17 }, "n"],
    ["best_of below n", { prompt: "a", n: 3, best_of: 2 }, "best_of"],
    ["best_of in a stream", { prompt: "a", best_of: 2, stream: true }, "best_of"],
    ["stream as text", { prompt: "a", stream: "yes" }, "stream"],
    ["stream_options without stream", { prompt: "a", stream_options: {} }, "stream_options"],
    ["logprobs above 5", { prompt: "a", logprobs: 6 }, "logprobs"],
    ["logprobs as boolean", { prompt: "a", logprobs: true }, "logprobs"],
    ["five stop strings", { prompt: "a", stop: ["a", "b", "c", "d", "e"] }, "stop"],
    ["empty stop string in a list", { prompt: "a", stop: [""] }, "stop"],
    ["stop as number", { prompt: "a", stop: 3 }, "stop"],
    ["stop id beyond the vocabulary", { prompt: "a", stop_token_ids: [99_999] }, "stop_token_ids"],
    ["presence_penalty out of range", { prompt: "a", presence_penalty: 3 }, "presence_penalty"],
    ["frequency_penalty out of range", { prompt: "a", frequency_penalty: -3 }, "frequency_penalty"],
    ["repetition_penalty of 0", { prompt: "a", repetition_penalty: 0 }, "repetition_penalty"],
    ["logit_bias out of range", { prompt: "a", logit_bias: { "5": 101 } }, "logit_bias.5"],
    ["logit_bias beyond the vocabulary", { prompt: "a", logit_bias: { "60000": 1 } }, "logit_bias"],
    ["logit_bias of a word", { prompt: "a", logit_bias: { cat: 1 } }, "logit_bias.cat"],
    ["fractional seed", { prompt: "a", seed: 0.5 }, "seed"],
    ["seed beyond 2^64", { prompt: "a", seed: 2 ** 64 }, "seed"],
    ["seed below -2^63", { prompt: "a", seed: -(2 ** 63) - 2048 }, "seed"],
    ["suffix", { prompt: "a", suffix: "the end" }, "suffix"],
    ["user as object", { prompt: "a", user: {} }, "user"],
    ["unknown field", { prompt: "a", temprature: 1 }, "temprature"],
    [
      "an echo of long prompts for each of many choices",
      { prompt: Array(65).fill(Array(511).fill(11)), n: 2, echo: true, max_tokens: 0, stream: true },
      "prompt",
    ],
    ["field of the prototype", JSON.parse('{"prompt": "a", "__proto__": 1}'), "__proto__"],
    ["list with too many entries", { prompt: "a", stop: Array(2000).fill("x") }, "stop"],
    [
      "map with too many entries",
      { prompt: "a", logit_bias: Object.fromEntries([...Array(2000).keys()].entries()) },
      "logit_bias",
    ],
  ];
  test.each(cases)("%s", async (_, body, param) => {
    const error = await refuse(body);
    expect(error.type).toBe("invalid_request_error");
    expect(error.param).toBe(param);
  });

  test("says when the context is the reason", async () => {
    for (const prompt of ["word ".repeat(600), "word ".repeat(60_000), [Array(513).fill(11)]])
      expect(await refuse({ prompt })).toMatchObject({ code: "context_length_exceeded" });
    expect(await refuse({ prompt: "a", max_tokens: 512 })).toMatchObject({ code: "context_length_exceeded" });
  });

  test("too many fields", async () => {
    const fields = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`field${i}`, i]));
    expect((await refuse({ prompt: "a", ...fields })).message).toContain("101 fields");
  });

  test("an unknown model is not found", async () => {
    expect(await refuse({ model: "gpt-9", prompt: "a" }, 404)).toMatchObject({
      code: "model_not_found",
      param: "model",
    });
  });
});

describe("bodies", () => {
  test.each([
    ["broken JSON", '{"prompt": "a"'],
    ["nothing", ""],
    ["NaN", '{"prompt": "a", "temperature": NaN}'],
    ["a number", "7"],
    ["null", "null"],
    ["a list", "[]"],
    ["deep nesting", "[".repeat(200_000)],
    ["deep nesting in a field", `{"prompt": ${"[".repeat(100_000)}${"]".repeat(100_000)}}`],
  ])("%s", async (_, body) => {
    await refuse(body);
  });

  test("more brackets and members than any request has: they are not parsed", async () => {
    // Parsed, a megabyte of either would take 20 MB and more.
    for (const prompt of [
      `[${"[],".repeat(300_000)}[]]`,
      `[${'{"":0},'.repeat(20_000)}{}]`,
      "[".repeat(40_000),
    ])
      expect((await refuse(`{"prompt": ${prompt}}`)).message).toContain("more than 32768");
    const json = JSON.stringify(`{"enum": [${"[],".repeat(20_000)}[]]}`);
    expect(await refuse(`{"prompt": "a", "structured_outputs": {"json": ${json}}}`)).toMatchObject({
      param: "structured_outputs.json",
      message: expect.stringContaining("more than 16384 entries"),
    });
    // Brackets in a text are text.
    const text = '[{:"\\'.repeat(12_000);
    expect((await worker.post("/tokenize", { prompt: text })).status).toBe(200);
  });

  test("a number is found as it was written, whatever stands before it", () => {
    const text = JSON.stringify({ text: 'a"\\'.repeat(3_000_000), "": { seed: 1 } }).slice(0, -1);
    expect(sourceOf("seed", `${text}, "s\\u0065ed": 9007199254740993, "b": [2]}`)).toBe("9007199254740993");
    expect(sourceOf("seed", `${text}}`)).toBeUndefined();
  });

  test("a number too large for a float is refused as a field", async () => {
    expect(await refuse('{"prompt": "a", "temperature": 1e999}')).toMatchObject({ param: "temperature" });
  });

  test("bytes that are not UTF-8", async () => {
    const response = await fetch(new URL("/v1/completions", worker.url), {
      method: "POST",
      body: new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]),
    });
    expect((await refusal(response, 400)).message).toContain("UTF-8");
  });

  test("10 MB", async () => {
    expect(await refuse({ prompt: "a".repeat(10_000_000) }, 413)).toMatchObject({
      code: "request_too_large",
    });
  });

  test("10 MB without a length", async () => {
    let left = 10_000;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(1000).fill(97));
        else controller.close();
      },
    });
    const response = await fetch(new URL("/v1/completions", worker.url), {
      method: "POST",
      body,
      duplex: "half",
    } as RequestInit);
    await refusal(response, 413);
  });
});

describe("text is text", () => {
  test("the spelling of a special token has no power", async () => {
    const response = await worker.post("/tokenize", { prompt: "<|endoftext|>" });
    const { tokens } = (await response.json()) as { tokens: number[] };
    expect(tokens).not.toContain(50_256);
    expect(tokens.length).toBeGreaterThan(1);
    const completion = await worker.post("/v1/completions", { prompt: "a<|endoftext|>b", max_tokens: 1 });
    expect(completion.status).toBe(200);
  });

  test("a lone surrogate becomes U+FFFD, as it would on the wire", async () => {
    const lone = await worker.post("/tokenize", '{"prompt": "a\\ud800b"}');
    const replaced = await worker.post("/tokenize", { prompt: "a\ufffdb" });
    expect(await lone.json()).toEqual(await replaced.json());
    const echo = await worker.post(
      "/v1/completions",
      '{"prompt": "a\\ud800b", "echo": true, "max_tokens": 0}',
    );
    expect(await echo.json()).toMatchObject({ choices: [{ text: "a\ufffdb" }] });
  });
});

describe("routes", () => {
  test.each([
    ["GET", "/v1/completion"],
    ["GET", "/model.json"],
    ["GET", "/weights.00.bin"],
    ["POST", "/v1/embeddings"],
    ["GET", "/../wrangler.toml"],
  ])("%s %s is unknown", async (method, path) => {
    await refusal(await fetch(new URL(path, worker.url), { method }), 404);
  });

  test("what is unknown is quoted in part", async () => {
    for (const path of [`/v1/models/${"x".repeat(5000)}`, `/${"x".repeat(5000)}`])
      expect((await refusal(await fetch(new URL(path, worker.url)), 404)).message.length).toBeLessThan(250);
  });

  test.each([
    ["GET", "/v1/completions", "POST"],
    ["DELETE", "/v1/models", "GET"],
    ["PUT", "/v1/models/fable", "GET"],
    ["PATCH", "/tokenize", "POST"],
    ["POST", "/health", "GET"],
  ])("%s %s is not allowed", async (method, path, allowed) => {
    const response = await fetch(new URL(path, worker.url), { method });
    expect(response.headers.get("allow")).toBe(allowed);
    await refusal(response, 405);
  });
});

describe("tokenize and detokenize", () => {
  test.each([
    ["/tokenize", {}, "prompt"],
    ["/tokenize", { prompt: "a", content: "a" }, "prompt"],
    ["/tokenize", { prompt: 1 }, "prompt"],
    ["/tokenize", { prompt: "a b".repeat(70_000) }, "prompt"],
    ["/tokenize", { text: "a" }, "text"],
    ["/detokenize", {}, "tokens"],
    ["/detokenize", { tokens: "a" }, "tokens"],
    ["/detokenize", { tokens: [50_257] }, "tokens"],
    ["/detokenize", { tokens: [-1] }, "tokens"],
    ["/detokenize", { tokens: Array(65_537).fill(0) }, "tokens"],
    // The longest token has 128 bytes: the answer would be 43 times as long as the question.
    ["/detokenize", { tokens: Array(65_536).fill(35_496) }, "tokens"],
    // Sixteen backslashes are 32 bytes in JSON, and the text is there twice.
    ["/detokenize", { tokens: Array(32_768).fill(34_604) }, "tokens"],
  ])("%s %#", async (path, body, param) => {
    expect(await refusal(await worker.post(path, body), 400)).toMatchObject({ param });
  });
});
