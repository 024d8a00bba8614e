// Chains of real Durable Objects, each stage in a Worker of its own, against Node's one process.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { bundledModel } from "../../src/node/index.ts";
import { serveModel } from "../../worker/node/serve.ts";
import { uniform } from "../reference/random.ts";
import { CutModel } from "./local-chain.ts";
import { buildChain, removeChain, WorkerdChain } from "./workerd-chain.ts";

const CONTEXT = 256;
/** Faults in the last test: some in each run, many where somebody asks for them. */
const FAULTS = Number(process.env.CHAIN_FAULTS ?? 6);

let bundle: string;
let temporary: string;
let chain: WorkerdChain | undefined;
const cuts: CutModel[] = [];

beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), "edgeformer-chain-"));
  bundle = await buildChain();
});
afterEach(async () => {
  await chain?.stop();
  chain = undefined;
});
afterAll(async () => {
  for (const cut of cuts) await cut.remove();
  await removeChain(bundle);
  await rm(temporary, { recursive: true });
});

async function cutModel(directory: string, isolates: number, context = CONTEXT): Promise<CutModel> {
  const cut = await CutModel.make(directory, { isolates, context });
  cuts.push(cut);
  return cut;
}

interface Answer {
  choices: { text: string }[];
  usage: { completion_tokens: number; prompt_tokens_details: { cached_tokens: number } };
}

type Ask = (body: object) => Promise<Answer>;

const asking =
  (post: (path: string, body: unknown) => Promise<Response>): Ask =>
  async (body) => {
    const response = await post("/v1/completions", body);
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${response.status} ${text}`);
    return JSON.parse(text) as Answer;
  };

/** The choices of a model's requests in one process of Node. */
async function inNode(directory: string, bodies: readonly object[]): Promise<Answer["choices"][]> {
  const { origin, stop } = await serveModel({
    directory,
    host: "127.0.0.1",
    port: 0,
    variables: { CONTEXT: String(CONTEXT) },
  });
  try {
    const ask = asking((path, body) => fetch(origin + path, { method: "POST", body: JSON.stringify(body) }));
    const all: Answer["choices"][] = [];
    for (const body of bodies) all.push((await ask(body)).choices);
    return all;
  } finally {
    await stop();
  }
}

const ids = (length: number, first: number, step = 1) =>
  Array.from({ length }, (_, i) => (first + i * step) % 500);

/** A request for each way in which a text can come about. */
const BODIES = [
  { prompt: ids(6, 40), temperature: 0, max_tokens: 30 },
  { prompt: ids(90, 7, 11), temperature: 1, top_p: 0.9, seed: 3, logprobs: 3, max_tokens: 20 },
  { prompt: ids(90, 7, 11), temperature: 0.7, seed: 4, frequency_penalty: 0.5, max_tokens: 20, n: 2 },
  { prompt: ids(24, 3), temperature: 0, logit_bias: { 5: 100, 6: 97 }, max_tokens: 40 },
  { prompt: ids(70, 9, 13), temperature: 0, logprobs: 2, echo: true, max_tokens: 1 },
].map((body) => ({ ...body, ignore_eos: true }));

describe("in workerd", () => {
  async function compare(directory: string, isolates: readonly number[]): Promise<void> {
    const expected = await inNode(directory, BODIES);
    for (const count of isolates) {
      chain = await WorkerdChain.start(bundle, await cutModel(directory, count));
      const ask = asking((path, body) => chain!.post(path, body));
      const together = await Promise.all(BODIES.map(ask));
      expect(together.map(({ choices }) => choices)).toEqual(expected);
      const again = [];
      for (const body of BODIES) again.push(await ask(body));
      expect(again.map(({ choices }) => choices)).toEqual(expected);
      expect(again[1]!.usage.prompt_tokens_details.cached_tokens).toBe(80);
      await chain.stop();
      chain = undefined;
    }
  }

  test("fable over 1, 2, 3 and 5 isolates is fable in one process", () =>
    compare(bundledModel(), [1, 2, 3, 5]));

  test("so is a tiny Qwen3, an isolate for each of its layers", async () => {
    const out = join(temporary, "tiny-qwen3");
    await convert({ source: "tests/fixtures/llama-family/tiny-qwen3", out });
    await compare(out, [3, 4]);
  });
});

describe("a chain", () => {
  let cut: CutModel;
  let expected: Answer["choices"][];
  beforeAll(async () => {
    cut = await cutModel(bundledModel(), 3);
    expected = await inNode(bundledModel(), BODIES);
  });

  test("serves several fronts, and several coordinators on the same stages, each by itself", async () => {
    chain = await WorkerdChain.start(bundle, cut);
    const asks = [
      asking((path, body) => chain!.post(path, body)),
      ...(["other-front", "second-chain"] as const).map((front) =>
        asking((path, body) => chain!.through(front, path, body)),
      ),
    ];
    const all = await Promise.all(asks.map((ask) => Promise.all(BODIES.map(ask))));
    for (const answers of all) expect(answers.map(({ choices }) => choices)).toEqual(expected);
  });

  test.each<[string, object, RegExp]>([
    ["in the wrong order", { bindings: { 1: 3 } }, /stage 3 was called as stage 2/],
    ["too few", { bindings: { 2: undefined } }, /stage 2 of 3 has no stage behind it/],
    ["none at all", { bindings: { 1: undefined } }, /cut into 3 stages, but none is bound/],
  ])("refuses stages that are %s", async (_, options, message) => {
    chain = await WorkerdChain.start(bundle, cut, options);
    const response = await chain.post("/v1/completions", BODIES[0]);
    expect(await response.text()).toMatch(message);
    expect(response.status).toBeGreaterThanOrEqual(400);
  });

  test("refuses a stage of another plan", async () => {
    const other = await cutModel(bundledModel(), 3, CONTEXT - 16);
    chain = await WorkerdChain.start(bundle, cut, { models: { 2: other.directory(2) } });
    const response = await chain.post("/v1/completions", BODIES[0]);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "2"]);
    expect(await response.json()).toMatchObject({
      error: { code: "model_unavailable", message: expect.stringContaining("stage 2 holds another model") },
    });
  });

  test("gives everything back when a client leaves", async () => {
    chain = await WorkerdChain.start(bundle, cut);
    for (let i = 0; i < 5; i++) {
      const controller = new AbortController();
      const body = { prompt: ids(20, i), max_tokens: 200, stream: true, ignore_eos: true };
      const response = await chain.post("/v1/completions", body, controller.signal);
      const reader = response.body!.getReader();
      await reader.read();
      controller.abort();
      await reader.cancel().catch(() => {});
    }
    // Eight texts that fill every block: they can run at once only if all are free.
    const ask = asking((path, body) => chain!.post(path, body));
    const fullest = { max_tokens: CONTEXT - 10, temperature: 0, ignore_eos: true };
    const all = await Promise.all(ids(8, 1).map((first) => ask({ ...fullest, prompt: ids(10, first) })));
    expect(all.map(({ usage }) => usage.completion_tokens)).toEqual(new Array(8).fill(CONTEXT - 10));
  });

  test("goes on after a stage was aborted, before or behind its batch, or computed it twice", async () => {
    chain = await WorkerdChain.start(bundle, cut);
    const ask = asking((path, body) => chain!.post(path, body));
    await ask(BODIES[0]!);
    for (const fault of ["abort", "abort-behind", "twice", "second"])
      for (const stage of [2, 3]) {
        await chain.fault(stage, fault);
        expect((await ask(BODIES[1]!)).choices).toEqual(expected[1]);
      }
  });

  test("does not wait for a stage that hangs", async () => {
    chain = await WorkerdChain.start(bundle, cut, { vars: { STAGE_STALL_MS: "300" } });
    const ask = asking((path, body) => chain!.post(path, body));
    await ask(BODIES[0]!);
    await chain.fault(2, "hang");
    expect((await ask(BODIES[1]!)).choices).toEqual(expected[1]);
  });

  test("answers 503 while a stage is away, and serves again when it is back", async () => {
    chain = await WorkerdChain.start(bundle, cut);
    const ask = asking((path, body) => chain!.post(path, body));
    await ask(BODIES[0]!);
    await chain.fault(3, "abort-always");
    const response = await chain.post("/v1/completions", BODIES[1]);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "2"]);
    expect(await response.json()).toMatchObject({
      error: { code: "model_unavailable", message: expect.stringContaining("a stage of the model is away") },
    });
    await chain.fault(3, "none");
    expect((await ask(BODIES[1]!)).choices).toEqual(expected[1]);
  });

  test(`survives ${FAULTS} faults under eight streams`, async () => {
    const vars = { STAGE_STALL_MS: "1000" };
    chain = await WorkerdChain.start(bundle, cut, { vars });
    const running = chain;
    const random = uniform(FAULTS);
    const bodies = ids(8, 1).map((i) => ({
      prompt: ids(4 + 11 * i, i, 3),
      max_tokens: 60,
      temperature: i % 2,
      seed: i,
      stream: true,
      ignore_eos: true,
    }));
    const solo = await inNode(
      bundledModel(),
      bodies.map(({ stream: _, ...body }) => body),
    );
    const ends = { whole: 0, failed: 0 };
    let over = false;
    /** Reads a stream to its end; undefined if that is an error of the endpoint's. */
    const read = async (body: object): Promise<string | undefined> => {
      const response = await running.post("/v1/completions", body);
      if (response.status !== 200) {
        expect([response.status, response.headers.get("retry-after")]).toEqual([503, "2"]);
        return undefined;
      }
      const events = (await response.text()).split("\n\n").flatMap((event) => {
        return event.startsWith("data: ") ? [event.slice(6)] : [];
      });
      if (events.at(-1) === "[DONE]")
        return events
          .slice(0, -1)
          .map((event) => (JSON.parse(event) as Answer).choices[0]!.text)
          .join("");
      expect(JSON.parse(events.at(-1)!)).toMatchObject({ error: { code: "model_unavailable" } });
      return undefined;
    };
    const client = async (i: number) => {
      while (!over) {
        const text = await read(bodies[i]!);
        if (text === undefined) ends.failed++;
        else {
          ends.whole++;
          expect(text).toBe(solo[i]![0]!.text);
        }
      }
    };
    const clients = Promise.all(ids(8, 0).map(client));
    for (let fault = 0; fault < FAULTS; fault++) {
      const kinds = ["abort", "abort-behind", "twice", "second", "delay"];
      await running.fault(2 + Math.floor(random() * 2), kinds[Math.floor(random() * kinds.length)]!);
      await new Promise((resolve) => setTimeout(resolve, 100 + random() * 400));
    }
    const last = performance.now();
    over = true;
    await clients;
    const ask = asking((path, body) => running.post(path, body));
    expect((await ask(BODIES[1]!)).choices).toEqual(expected[1]);
    const recovered = performance.now() - last;
    expect(ends.whole).toBeGreaterThan(8);
    // No block is lost.
    const fullest = { max_tokens: CONTEXT - 10, temperature: 0, ignore_eos: true };
    const all = await Promise.all(ids(8, 1).map((first) => ask({ ...fullest, prompt: ids(10, first) })));
    expect(all.map(({ usage }) => usage.completion_tokens)).toEqual(new Array(8).fill(CONTEXT - 10));
    console.log(
      `${FAULTS} faults: ${ends.whole} whole texts, ${ends.failed} errors; ${recovered.toFixed(0)} ms until all had ended and another was served`,
    );
  }, 600_000);
});
