// What a stage refuses, and what happens when one has lost what it held.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LayerStage } from "../../src/chain/layer-stage.ts";
import { loadFirstStage, loadLayerStage } from "../../src/chain/load-stage.ts";
import type { StageBatch, StageLink } from "../../src/chain/stage-message.ts";
import type { Model } from "../../src/model.ts";
import { bundledModel, directorySource, engineModule, openModel } from "../../src/node/index.ts";
import { uniform } from "../reference/random.ts";
import { CutModel } from "./local-chain.ts";

const CONTEXT = 128;
let cut: CutModel;
let whole: Model;

beforeAll(async () => {
  cut = await CutModel.make(bundledModel(), { isolates: 3, context: CONTEXT });
  whole = await openModel(bundledModel(), { context: CONTEXT });
});
afterAll(() => cut.remove());

/** A stage of fable's three, by itself. */
async function stage(
  index: number,
  next?: StageLink,
  options: { engineId?: string } = {},
): Promise<LayerStage> {
  const source = directorySource(cut.directory(index + 1));
  return loadLayerStage({
    module: await engineModule(),
    source,
    index,
    instance: `${index}`,
    next,
    ...options,
  });
}

describe("a handshake", () => {
  /** The error of the first request on a chain whose first stage is bound to `next`. */
  async function refusal(next: StageLink): Promise<unknown> {
    const module = await engineModule();
    const source = directorySource(cut.directory(1));
    const model = await loadFirstStage({ module, source, next, newSession: () => "one" });
    return model.complete([1, 2, 3], { maxTokens: 2 }).catch((error: unknown) => error);
  }

  test("refuses stages in the wrong order", async () => {
    expect(await refusal(await stage(2))).toMatchObject({
      code: "invalid_model",
      message: "stage 3 was called as stage 2: the bindings are in the wrong order",
    });
  });

  test("refuses too few and too many of them", async () => {
    expect(await refusal(await stage(1))).toMatchObject({
      code: "invalid_model",
      message: "stage 2 of 3 has no stage behind it: bind NEXT",
    });
    expect(await refusal(await stage(1, await stage(2, await stage(2))))).toMatchObject({
      code: "invalid_model",
      message: "stage 3 is the last of the plan, but another one is bound behind it",
    });
    const module = await engineModule();
    const source = directorySource(cut.directory(1));
    await expect(
      loadFirstStage({ module, source, next: undefined, newSession: () => "one" }),
    ).rejects.toMatchObject({ code: "invalid_option", param: "next" });
    await expect(
      loadLayerStage({ module, source, index: 3, instance: "4", next: undefined }),
    ).rejects.toThrow("stage 4 of a model that is cut into 3");
  });

  test("refuses another plan, another model and another engine", async () => {
    const other = await CutModel.make(bundledModel(), { isolates: 3, context: CONTEXT - 16 });
    try {
      const source = directorySource(other.directory(2));
      const module = await engineModule();
      const next = await stage(2);
      const stranger = await loadLayerStage({ module, source, index: 1, instance: "1", next });
      expect(await refusal(stranger)).toMatchObject({
        code: "invalid_model",
        message: expect.stringContaining("stage 2 holds another model, plan or engine"),
      });
    } finally {
      await other.remove();
    }
    expect(await refusal(await stage(1, await stage(2), { engineId: "00" }))).toMatchObject({
      code: "invalid_model",
    });
    await expect(
      loadLayerStage({
        module: await engineModule(),
        source: directorySource(bundledModel()),
        index: 1,
        instance: "1",
        next: undefined,
      }),
    ).rejects.toThrow("fable is not cut into stages; run edgeformer split");
  });
});

describe("a message", () => {
  const good = (): StageBatch => ({
    session: "one",
    number: 0,
    layer: 2,
    tables: Int32Array.of(0, 1, 5),
    rows: Int32Array.of(0, 0, 1, 0),
    wanted: Int32Array.of(1),
    hiddenStates: new Float32Array(2 * 192).fill(0.1),
  });
  const HIDDEN = 192;

  async function opened(): Promise<LayerStage> {
    const last = await stage(2);
    // The version is what the first stage would say; a stage alone tells it in its refusal of nothing else.
    const versions: string[] = [];
    const spy: StageLink = {
      open: async ({ version }) => {
        versions.push(version);
        throw new Error("seen");
      },
      run: async () => new Float32Array(),
    };
    const module = await engineModule();
    const source = directorySource(cut.directory(1));
    const first = await loadFirstStage({ module, source, next: spy, newSession: () => "one" });
    await first.complete([1], { maxTokens: 1 }).catch(() => {});
    expect(await last.open({ version: versions[0]!, stage: 2, chain: "", session: "one" })).toEqual(["2"]);
    return last;
  }

  test("that is right gives the rows that are wanted", async () => {
    const last = await opened();
    const hidden = await last.run(good());
    expect(hidden).toHaveLength(HIDDEN);
    expect(hidden.every(Number.isFinite)).toBe(true);
    const none = { ...good(), number: 1, wanted: new Int32Array() };
    expect(await last.run(none)).toHaveLength(0);
  });

  test.each<[string, Partial<StageBatch>, string]>([
    ["of another session", { session: "two" }, "has lost what it held"],
    ["that was computed already", { number: 7 }, "got batch 7 in place of 0"],
    [
      "for a layer that is not here",
      { layer: 1 },
      "has the layers from 2 on, and was given rows for layer 1",
    ],
    ["without rows", { rows: new Int32Array() }, "a batch of 0 rows"],
    ["with half a row", { rows: Int32Array.of(0) }, "a batch of 0.5 rows"],
    ["with too many rows", { rows: new Int32Array(200) }, "a batch of 100 rows"],
    ["of the wrong size", { hiddenStates: new Float32Array(193) }, "193 hidden states for 2 rows of 192"],
    ["with a position outside", { rows: Int32Array.of(0, 0, CONTEXT, 0) }, `position ${CONTEXT} of slot 0`],
    ["with a slot outside", { rows: Int32Array.of(0, 0, 1, 8) }, "position 1 of slot 8"],
    ["that wants a row outside", { wanted: Int32Array.of(2) }, "row 2 of 2 is wanted"],
    ["that wants a row twice", { wanted: Int32Array.of(1, 1) }, "row 1 of 2 is wanted"],
    ["with half a table", { tables: Int32Array.of(0, 2, 5) }, "a table of 2 blocks for slot 0"],
    ["with a table for nobody", { tables: Int32Array.of(-1, 0) }, "a table of 0 blocks for slot -1"],
    ["with a slot alone", { tables: Int32Array.of(0) }, "a table of -1 blocks for slot 0"],
    ["with a block outside", { tables: Int32Array.of(0, 1, 9999) }, "block 9999 of"],
    [
      "with too long a table",
      { tables: Int32Array.of(0, 9, ...new Array(9).fill(1)) },
      "a table of 9 blocks",
    ],
  ])("%s is refused", async (_, change, message) => {
    const last = await opened();
    await expect(last.run({ ...good(), ...change })).rejects.toThrow(message);
    // It has changed nothing.
    expect(await last.run(good())).toHaveLength(HIDDEN);
  });
});

describe("a stage that loses what it held", () => {
  const requests = Array.from({ length: 8 }, (_, i) => ({
    prompt: Array.from({ length: 3 + 9 * i }, (_, at) => (at * 31 + i * 7) % 5000),
    options: { maxTokens: 24, temperature: i % 2, seed: i, ignoreEos: true, logprobs: 1 },
  }));

  test.each([2, 3])("stage %d: everybody gets the text of one process", async (restarting) => {
    const random = uniform(restarting + 20);
    let lost = 0;
    const model = await cut.open({}, (link, number) => {
      if (number !== restarting) return link;
      return {
        open: (opening) => link.open(opening),
        async run(batch) {
          // In place of an instance that knows nothing yet.
          const restarts = random() < 0.08;
          if (restarts) lost++;
          return link.run(restarts ? { ...batch, session: "of another instance" } : batch);
        },
      };
    });
    const found = await Promise.all(requests.map(({ prompt, options }) => model.complete(prompt, options)));
    const expected = [];
    for (const { prompt, options } of requests) expected.push(await whole.complete(prompt, options));
    const bits = (all: typeof found) => all.map(({ ids, logprobs, text }) => ({ ids, logprobs, text }));
    expect(bits(found)).toEqual(bits(expected));
    expect(lost).toBeGreaterThan(2);
  });

  test("one that computes a batch twice is found out, and the text is right", async () => {
    let doubled = 0;
    const model = await cut.open({}, (link, number) =>
      number === 2
        ? {
            open: (opening) => link.open(opening),
            async run(batch) {
              if (batch.number !== 1) return link.run(batch);
              doubled++;
              const [, second] = await Promise.all([link.run(batch), link.run(batch)]);
              return second;
            },
          }
        : link,
    );
    const { prompt, options } = requests[3]!;
    const found = await model.complete(prompt, { ...options, maxTokens: 3 });
    expect(found.ids).toEqual((await whole.complete(prompt, { ...options, maxTokens: 3 })).ids);
    expect(doubled).toBeGreaterThan(0);
  });

  test("one that answers with too little is told apart from text", async () => {
    const model = await cut.open({}, (link) => ({
      open: (opening) => link.open(opening),
      run: async (batch) => (await link.run(batch)).subarray(1),
    }));
    await expect(model.complete([1, 2], { maxTokens: 2 })).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining("a stage of the model is away"),
    });
  });
});
