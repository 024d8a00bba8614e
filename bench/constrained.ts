// How fast a model writes under a schema, beside the same model without one, by turns: `npm run constrained DIRECTORY`.
// Once as the library does it by itself, and once as tightly as it can be: keys in order and no white space.

import { type ConstraintOptions, compileConstraint } from "../src/constrain/index.ts";
import { Engine } from "../src/engine/engine.ts";
import type { GenerateOptions } from "../src/index.ts";
import { openModel, openTokenizer } from "../src/node/index.ts";
import { SCHEMAS } from "../tests/real/schemas.ts";
import { median } from "./statistics.ts";

const ROUNDS = 3;
const MAX_TOKENS = 120;
/** A short answer says nothing about speed. */
const MIN_TOKENS = 12;

const directory = process.argv[2];
if (directory === undefined) throw new Error("usage: npm run constrained DIRECTORY, the model's");
const model = await openModel(directory, { context: 512, maxSequences: 1 });
const tokenizer = await openTokenizer(directory);

/** Calls of head() for all tokens. */
let wholeHeads = 0;
const head = Engine.prototype.head;
Engine.prototype.head = function (this: Engine, first, count, begin, end) {
  if (begin === undefined) wholeHeads += count;
  head.call(this, first, count, begin, end);
};

interface Run {
  tokens: number;
  /** From the first token on. */
  seconds: number;
  forced: number;
  wholeHeads: number;
}

async function run(prompt: number[], options: GenerateOptions): Promise<Run> {
  const before = wholeHeads;
  let [tokens, forced, started, ended] = [0, 0, 0, 0];
  for await (const chunk of model.generate(prompt, { ...options, temperature: 1 })) {
    ended = performance.now();
    if (started === 0) started = ended;
    tokens += chunk.ids.length;
    forced = chunk.usage?.forcedTokens ?? 0;
  }
  return { tokens, seconds: (ended - started) / 1000, forced, wholeHeads: wholeHeads - before };
}

const sum = (runs: readonly Run[], of: (run: Run) => number) =>
  runs.reduce((total, run) => total + of(run), 0);
const rate = (runs: readonly Run[]) => sum(runs, (one) => one.tokens - 1) / sum(runs, (one) => one.seconds);

/** Asks each question under a schema and without one, and says how fast that was. */
async function measure(form: string, round: number, formOptions: ConstraintOptions): Promise<number> {
  const [held, free]: [Run[], Run[]] = [[], []];
  for (const { schema, prompts } of SCHEMAS) {
    const constraint = compileConstraint({ jsonSchema: schema }, formOptions);
    for (const content of prompts) {
      const prompt = await tokenizer.applyChatTemplate([
        { role: "user", content: `${content} Answer in JSON.` },
      ]);
      const one = await run(prompt, { constraint, maxTokens: MAX_TOKENS, seed: round });
      if (one.tokens < MIN_TOKENS) continue;
      held.push(one);
      free.push(await run(prompt, { maxTokens: one.tokens, seed: round, ignoreEos: true }));
    }
  }
  const tokens = sum(held, (one) => one.tokens);
  const share = (count: number) => `${((100 * count) / tokens).toFixed(1)} %`;
  const ratio = rate(held) / rate(free);
  console.log(
    `${form}, round ${round}: ${rate(held).toFixed(1)} tokens/s under a schema, ${rate(free).toFixed(1)} without, ${ratio.toFixed(3)} ×; ` +
      `of ${tokens} tokens ${share(sum(held, (one) => one.forced))} had no alternative, ` +
      `${share(tokens - sum(held, (one) => one.wholeHeads))} were drawn without the whole head`,
  );
  return ratio;
}

const FORMS: Record<string, ConstraintOptions> = {
  "any order": {},
  tight: { propertyOrder: "declared", whitespace: "none" },
};
for (const [form, options] of Object.entries(FORMS)) {
  const ratios: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) ratios.push(await measure(form, round, options));
  console.log(`${form}: median ${median(ratios).toFixed(3)} ×`);
}
