import { type GenerateOptions, resolveOptions } from "../../src/options.ts";
import type { Capacity } from "../../src/serving/scheduler.ts";
import { Generation, type Sequence } from "../../src/serving/sequence.ts";
import type { Batch, Draw, Outcome, Outcomes, Rating, Stage } from "../../src/serving/stage.ts";
import type { System } from "./simulation.ts";

const BLOCK = 16;
const EOS = 0;

function mix(hash: number, value: number): number {
  const mixed = Math.imul(hash ^ value, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

/** The random numbers of a slot: a state that every draw above temperature 0 moves on. */
class Random {
  #state: number;

  constructor(seed: number | bigint, drawn = 0) {
    this.#state = mix(Number(BigInt(seed) & 0xffff_ffffn), Number(BigInt(seed) >> 32n));
    for (let i = 0; i < drawn; i++) this.next();
  }

  next(): number {
    this.#state = mix(this.#state + 1, 0x5bd1e995);
    return this.#state;
  }
}

/**
 * A model without weights: what it answers is a function of the tokens up to a position, of the task, and of the
 * slot's random numbers. With strong biases it mostly repeats their first token, so that guesses are often right.
 */
function answer(tokens: readonly number[], task: Draw | Rating, random: Random, vocabSize: number): Outcome {
  const seen = tokens.reduce(mix, tokens.length);
  const rate = (id: number, count: number) => ({
    logprob: -((mix(seen, id) >>> 8) + 1) / 1e6,
    top: Array.from({ length: count }, (_, i) => ({ id: i, logprob: -((mix(seen, i) >>> 8) + 1) / 1e6 })),
  });
  if (task.kind === "rating") return { id: task.target, ...rate(task.target, task.top) };
  let hash = task.temperature === 0 ? seen : mix(seen, random.next());
  for (const [id, times] of [...(task.penalties?.counts ?? [])].sort(([a], [b]) => a - b))
    hash = mix(mix(hash, id), times);
  const strong = task.biases.find(([, bias]) => bias > 50);
  const excluded = new Set(task.biases.filter(([, bias]) => bias < -100).map(([id]) => id));
  let id = (hash >>> 0) % vocabSize;
  if (strong !== undefined && hash >>> 28 !== 0) id = strong[0];
  while (excluded.has(id)) id = (id + 1) % vocabSize;
  if (task.logprobs === undefined) return { id, logprob: undefined, top: undefined };
  return { id, ...rate(id, task.logprobs) };
}

/** What a batch must hold whatever it is for; the first thing that does not. */
function fault({ admissions, rows, reads }: Batch, { maxRows, maxSequences, kvBlocks }: Capacity) {
  if (rows.length === 0 || rows.length > maxRows) return `${rows.length} rows`;
  if (new Set(admissions.map(({ slot }) => slot)).size !== admissions.length) return "a slot admitted twice";
  for (const { slot, blocks } of admissions) {
    if (!(slot >= 0 && slot < maxSequences)) return `slot ${slot}`;
    if (new Set(blocks).size !== blocks.length) return `a block twice: ${blocks}`;
    if (!blocks.every((block) => block >= 0 && block < kvBlocks)) return `blocks ${blocks}`;
    if (!rows.some((row) => row.slot === slot)) return `slot ${slot} enters without a row`;
  }
  for (const [i, { row, slot, after }] of reads.entries()) {
    if (i > 0 && row <= reads[i - 1]!.row) return "reads out of order";
    if (rows[row]?.slot !== slot) return `a read of row ${row} for slot ${slot}`;
    if (after !== undefined && after !== rows[row]!.token) return "a read after another token than its row's";
    if (after !== undefined && reads[i - 1]?.slot !== slot) return "a guess without a read before it";
  }
  return undefined;
}

/**
 * Computes batches with the model above. It remembers only what a real stage would: block tables, random numbers,
 * and a cell of the cache for each position of each block. So a sequence that is given a wrong block, or whose
 * blocks somebody else writes to, gets other tokens.
 */
export class FakeStage implements Stage {
  readonly capacity: Capacity;
  readonly #vocabSize: number;
  readonly #tables: (readonly number[])[] = [];
  readonly #random: Random[] = [];
  readonly #cells: Int32Array;

  constructor(capacity: Capacity, vocabSize: number) {
    this.capacity = capacity;
    this.#vocabSize = vocabSize;
    this.#cells = new Int32Array(capacity.kvBlocks * BLOCK).fill(-1);
  }

  run(original: Batch): Outcomes {
    // What survives this may travel.
    const batch = structuredClone(original);
    return this.answer(batch, this.enter(batch));
  }

  /** The first half of a batch, which fills the cache: what each read's row sees of it. */
  enter(batch: Batch): number[][] {
    const wrong = fault(batch, this.capacity);
    if (wrong !== undefined) throw new Error(`the batch has ${wrong}`);
    for (const { slot, blocks } of batch.admissions) this.#tables[slot] = blocks;
    for (const { token, position, slot } of batch.rows) this.#cells[this.#cell(slot, position)] = token;
    return batch.reads.map(({ row, slot }) =>
      Array.from({ length: batch.rows[row]!.position + 1 }, (_, i) => this.#cells[this.#cell(slot, i)]!),
    );
  }

  /** The second half, which draws. */
  answer({ admissions, reads }: Batch, seen: readonly number[][]): Outcomes {
    for (const { slot, seed, drawn } of admissions) this.#random[slot] = new Random(seed, drawn);
    const outcomes: (Outcome | undefined)[] = [];
    for (const [i, { slot, after, task }] of reads.entries()) {
      if (after !== undefined && outcomes.at(-1)?.id !== after) {
        outcomes.push(undefined);
        continue;
      }
      outcomes.push(answer(seen[i]!, task, this.#random[slot]!, this.#vocabSize));
    }
    return structuredClone(outcomes);
  }

  /** Loses the cache and the tables. */
  forget(): void {
    this.#tables.length = 0;
    this.#cells.fill(-1);
  }

  #cell(slot: number, position: number): number {
    const block = this.#tables[slot]?.[Math.floor(position / BLOCK)];
    if (block === undefined) throw new Error(`slot ${slot} has no block for position ${position}`);
    return block * BLOCK + (position % BLOCK);
  }
}

/** Runs a sequence to its end on the model above, with no scheduler, cache, slots or guesses. */
export function finishAlone(sequence: Sequence, vocabSize: number): void {
  const random = new Random(sequence.seed);
  for (let position = sequence.wantedFrom; !sequence.finished; position++) {
    const tokens = sequence.ids.slice(0, position + 1);
    sequence.accept(answer(tokens, sequence.read(position, []), random, vocabSize));
  }
}

/** A request to the model above; its seed is 1 unless the options say otherwise. */
export function fakeGeneration(prompt: number[], options: GenerateOptions, vocabSize: number): Generation {
  return new Generation(prompt, resolveOptions({ seed: 1, ...options }, vocabSize), [EOS], undefined);
}

export function fakeSystem(capacity: Capacity, context: number, vocabSize: number): System {
  return {
    capacity,
    context,
    vocabSize,
    stage: new FakeStage(capacity, vocabSize),
    generation: (prompt, options) => fakeGeneration(prompt, options, vocabSize),
    finish: (generation) => finishAlone(generation, vocabSize),
  };
}
