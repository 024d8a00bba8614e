// The same bits whatever the batch: invariant 2 of the design. Rows of any sequences, in any order and any
// company, give the logits that they give alone, one token at a time.

import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import type { Completion, Model } from "../../src/index.ts";
import { bundledModel, openModel } from "../../src/node/index.ts";
import { OTHER_CHECKPOINTS, writeRandomCheckpoint } from "../convert/random-checkpoint.ts";
import fable from "../goldens/fable.json" with { type: "json" };
import { integers } from "../reference/random.ts";
import { convertOdd, EngineHarness, type Row, withDirectory } from "./harness.ts";

const SEQUENCES = 4;
const CONTEXT = 37;

function sameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  );
}

/** Grouped queries, norms on queries and keys, rotary positions, and a window of 9 in the second layer. */
async function convertGrouped(directory: string): Promise<string> {
  const source = join(directory, "checkpoint");
  const out = join(directory, "grouped");
  writeRandomCheckpoint(source, OTHER_CHECKPOINTS["qwen3, grouped, every other layer with a window"]!);
  await convert({ source, out });
  return out;
}

const LENGTHS = [CONTEXT, 17, 30, 16];

/** Batches that together run every sequence once: each step takes some tokens of some sequences. */
const schedules = fc
  .array(
    fc.record({
      takes: fc.array(fc.integer({ min: 0, max: 20 }), { minLength: SEQUENCES, maxLength: SEQUENCES }),
      order: fc.shuffledSubarray([0, 1, 2, 3], { minLength: SEQUENCES, maxLength: SEQUENCES }),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((steps) => {
    const done = LENGTHS.map(() => 0);
    const batches: Omit<Row, "token">[][] = [];
    const step = (takes: number[], order: number[]) => {
      const rows: Omit<Row, "token">[] = [];
      for (const sequence of order) {
        for (let n = takes[sequence]!; n > 0 && done[sequence]! < LENGTHS[sequence]! && rows.length < 64; n--)
          rows.push({ position: done[sequence]!++, sequence });
      }
      if (rows.length > 0) batches.push(rows);
    };
    for (const { takes, order } of steps) step(takes, order);
    for (let i = 0; i < SEQUENCES; i++) step([CONTEXT, CONTEXT, CONTEXT, CONTEXT], [0, 1, 2, 3]);
    return batches;
  });

describe.each([
  { name: "the odd GPT-2", make: convertOdd, vocabulary: 1003 },
  { name: "a Qwen3 with grouped queries and a window", make: convertGrouped, vocabulary: 101 },
])("$name, bit for bit", ({ make, vocabulary }) => {
  /** Four sequences, and the logits of each alone. */
  const texts = LENGTHS.map((length, i) => integers(length, 0, vocabulary - 1, i + 1));
  let alone: Float32Array[][];
  let harness: EngineHarness;

  beforeAll(async () => {
    await withDirectory(async (directory) => {
      const out = await make(directory);
      const single = await EngineHarness.open(out, { context: CONTEXT, maxSequences: 1 });
      alone = [];
      for (const ids of texts) {
        single.setBlocks(0);
        alone.push(single.stepByStep(ids));
      }
      harness = await EngineHarness.open(out, { context: CONTEXT, maxSequences: SEQUENCES });
    });
  });

  function expectAlone(logits: Float32Array, { sequence, position }: Row): void {
    if (!sameBits(logits, alone[sequence]![position]!))
      expect.fail(`sequence ${sequence}, position ${position}: other logits than alone`);
  }

  test("a prompt at once is the prompt token by token", () => {
    texts.forEach((ids, sequence) => {
      harness.setBlocks(sequence);
      const rows = ids.map((token, position) => ({ token, position, sequence }));
      harness.run(rows).forEach((logits, i) => {
        expectAlone(logits, rows[i]!);
      });
    });
  });

  test("any split and interleaving of several sequences is each sequence alone", () => {
    fc.assert(
      fc.property(schedules, fc.integer({ min: 0, max: 1000 }), (batches, salt) => {
        // Blocks anywhere, still holding what the runs before left there.
        const { kvBlocks, blocksPerSequence } = harness.engine.plan;
        const order = integers(kvBlocks, 0, 2 ** 31 - 2, salt)
          .map((key, block) => ({ key, block }))
          .sort((a, b) => a.key - b.key)
          .map(({ block }) => block);
        for (let s = 0; s < SEQUENCES; s++)
          harness.setBlocks(s, order.slice(s * blocksPerSequence, (s + 1) * blocksPerSequence));
        for (const batch of batches) {
          const rows = batch.map((row) => ({ ...row, token: texts[row.sequence]![row.position]! }));
          harness.run(rows).forEach((logits, i) => {
            expectAlone(logits, rows[i]!);
          });
        }
      }),
      { numRuns: 40 },
    );
  });

  test("asking for fewer logits changes none of them", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 36 }), { maxLength: 37 }), (some) => {
        const rows = texts[0]!.map((token, position) => ({ token, position, sequence: 0 }));
        harness.setBlocks(0);
        const wanted = some.sort((a, b) => a - b);
        harness.run(rows, wanted).forEach((logits, i) => {
          expectAlone(logits, rows[wanted[i]!]!);
        });
      }),
      { numRuns: 40 },
    );
  });

  test("going back and computing positions again gives them again", () => {
    const ids = texts[2]!;
    harness.setBlocks(2);
    const row = (position: number, token = ids[position]!) => ({ token, position, sequence: 2 });
    harness.run(ids.map((_, position) => row(position)));
    // Guesses that turn out wrong are overwritten.
    harness.run([10, 11, 12, 13, 14].map((position) => row(position, vocabulary - 1 - position)));
    const again = ids.slice(10).map((_, i) => row(10 + i));
    harness.run(again).forEach((logits, i) => {
      expectAlone(logits, again[i]!);
    });
  });
});

describe("generation", () => {
  let model: Model;
  beforeAll(async () => {
    model = await openModel(bundledModel());
  });
  afterAll(() => model.dispose());

  const requests = fable.cases.map(({ ids }, i) => ({
    prompt: ids.slice(0, 3 + 11 * i),
    options: { maxTokens: 12 + i, seed: 1000 + i, temperature: i % 3 === 0 ? 0 : 1, topP: 0.9, logprobs: 2 },
  }));

  test("together is alone: tokens, text and log-probabilities", async () => {
    const alone: Completion[] = [];
    for (const { prompt, options } of requests) alone.push(await model.complete(prompt, options));
    const together = await Promise.all(
      requests.map(({ prompt, options }) => model.complete(prompt, options)),
    );
    together.forEach((completion, i) => {
      expect({ ...completion, usage: undefined }).toEqual({ ...alone[i]!, usage: undefined });
    });
  });

  test("what ran before does not matter, nor does another instance", async () => {
    const { prompt, options } = requests[4]!;
    const before = await model.complete(prompt, options);
    for (const { ids } of fable.cases.slice(0, 4)) await model.score(ids);
    const fresh = await openModel(bundledModel(), { context: 128, maxSequences: 1 });
    for (const later of [await model.complete(prompt, options), await fresh.complete(prompt, options)])
      expect({ ...later, usage: undefined }).toEqual({ ...before, usage: undefined });
    fresh.dispose();
  });

  test("an abandoned generation leaves the others alone", async () => {
    const { prompt, options } = requests[5]!;
    const before = await model.complete(prompt, options);
    const abandoned = (async () => {
      let left = 3;
      for await (const _ of model.generate(requests[7]!.prompt, { ...options, maxTokens: 50 }))
        if (--left === 0) break;
    })();
    const [, after] = await Promise.all([abandoned, model.complete(prompt, options)]);
    expect({ ...after, usage: undefined }).toEqual({ ...before, usage: undefined });
  });
});
