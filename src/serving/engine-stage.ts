import type { Engine } from "../engine/engine.ts";
import { onlyToken } from "../only-token.ts";
import { seedHalves } from "../options.ts";
import { certain } from "./restriction.ts";
import type { Batch, Draw, Outcome, Outcomes, Rating, Read, Stage } from "./stage.ts";

/** Strips of tokens from the first to before the second. */
type StripRange = [begin: number, end: number];

/** What it costs to begin anew behind a gap, in strips. */
const GAP = 4;

/**
 * The strips of 16 tokens that a mask has tokens in, with small gaps closed; undefined where half of all would cost no
 * more.
 */
function fewStrips(mask: Uint32Array, all: number): StripRange[] | undefined {
  if (onlyToken(mask) !== undefined) return [];
  const ranges: StripRange[] = [];
  let cost = 0;
  for (let strip = 0; strip < Math.min(all, 2 * mask.length); strip++) {
    if (((mask[strip >> 1]! >>> (16 * (strip & 1))) & 0xffff) === 0) continue;
    const last = ranges.at(-1);
    if (last !== undefined && strip - last[1] <= GAP) {
      cost += strip + 1 - last[1];
      last[1] = strip + 1;
    } else {
      cost += 1 + GAP;
      ranges.push([strip, strip + 1]);
    }
    if (2 * cost > all) return undefined;
  }
  return ranges;
}

/** Computes whole batches on one engine, which nobody else may use meanwhile. */
export class EngineStage implements Stage {
  readonly engine: Engine;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  run(batch: Batch): Outcomes {
    this.enter(batch);
    this.engine.forward(batch.rows.length, batch.reads.length);
    return this.answer(batch);
  }

  /** Writes what the layers have to know of a batch: block tables, rows, and which of them are read. */
  enter({ admissions, rows, reads }: Batch): void {
    const engine = this.engine;
    for (const { slot, blocks } of admissions)
      for (let i = 0; i < blocks.length; i++) engine.setBlock(slot, i, blocks[i]!);
    for (let i = 0; i < rows.length; i++) {
      const { token, position, slot } = rows[i]!;
      engine.setRow(i, token, position, slot);
    }
    for (let i = 0; i < reads.length; i++) engine.setWanted(i, reads[i]!.row);
  }

  /** Answers the reads of a batch, whose hidden states lie in the order of the reads behind the last layer. */
  answer({ admissions, reads }: Batch): Outcomes {
    const engine = this.engine;
    for (const { slot, seed, drawn } of admissions) engine.seed(slot, ...seedHalves(seed), drawn);
    const { logitsSlots } = engine.plan;
    const outcomes: (Outcome | undefined)[] = [];
    const isWrongGuess = ({ after }: Read) => after !== undefined && outcomes.at(-1)?.id !== after;
    while (outcomes.length < reads.length) {
      const first = outcomes.length;
      if (isWrongGuess(reads[first]!)) {
        outcomes.push(undefined);
        continue;
      }
      const few = this.#fewStrips(reads[first]!);
      if (few !== undefined) {
        for (const [begin, end] of few) engine.head(first, 1, begin, end);
        outcomes.push(this.#compute(0, reads[first]!));
        continue;
      }
      let count = 1;
      while (count < logitsSlots && first + count < reads.length && !this.#fewStrips(reads[first + count]!))
        count++;
      engine.head(first, count);
      for (let i = 0; i < count; i++) {
        const read = reads[first + i]!;
        outcomes.push(isWrongGuess(read) ? undefined : this.#compute(i, read));
      }
    }
    return outcomes;
  }

  /** The strips of the head that a read needs, where they are few; none where it has no choice. */
  #fewStrips({ task }: Read): StripRange[] | undefined {
    if (task.kind === "rating" || task.mask === undefined) return undefined;
    return fewStrips(task.mask, this.engine.headStrips);
  }

  /** @param logits where the read's logits lie, from 0 to logitsSlots − 1 */
  #compute(logits: number, { slot, task }: Read): Outcome {
    return task.kind === "draw" ? this.#draw(logits, slot, task) : this.#rate(logits, task);
  }

  #draw(logits: number, slot: number, draw: Draw): Outcome {
    const { mask, logprobs } = draw;
    const engine = this.engine;
    const only = mask && onlyToken(mask);
    if (only !== undefined) return certain(only, logprobs);
    if (logprobs === undefined) {
      this.#adjust(logits, draw);
      return { id: this.#sample(logits, slot, draw), logprob: undefined, top: undefined };
    }
    if (mask !== undefined) engine.mask(logits, mask);
    const logSumExp = engine.logSumExp(logits);
    const top = engine.topLogprobs(logits, logprobs, logSumExp);
    // Log-probabilities are the model's own, and the adjustment overwrites what they are made of.
    const before = new Map<number, number>();
    if (draw.penalties !== undefined)
      for (const id of draw.penalties.counts.keys()) before.set(id, engine.logit(logits, id));
    for (const [id] of draw.biases) before.set(id, engine.logit(logits, id));
    this.#adjust(logits, draw);
    const id = this.#sample(logits, slot, draw);
    return { id, logprob: (before.get(id) ?? engine.logit(logits, id)) - logSumExp, top };
  }

  /** The token that is drawn; −1 where every logit is −∞ or not a number. */
  #sample(logits: number, slot: number, { temperature, topK, topP, minP }: Draw): number {
    const id = this.engine.sample(logits, slot, temperature, topK, topP, minP);
    return id >= 0 && this.engine.logit(logits, id) === Number.NEGATIVE_INFINITY ? -1 : id;
  }

  /** Applies penalties, then biases, then the mask to the logits: penalties make every logit finite. */
  #adjust(logits: number, { penalties, biases, mask }: Draw): void {
    if (penalties !== undefined) {
      const { counts, repetition, presence, frequency } = penalties;
      this.engine.penalize(logits, counts, repetition, presence, frequency);
    }
    if (biases.length > 0) this.engine.addBias(logits, biases);
    if (mask !== undefined) this.engine.mask(logits, mask);
  }

  #rate(logits: number, { target, top }: Rating): Outcome {
    const logSumExp = this.engine.logSumExp(logits);
    return {
      id: target,
      logprob: this.engine.logit(logits, target) - logSumExp,
      top: this.engine.topLogprobs(logits, top, logSumExp),
    };
  }
}
