import type { Engine } from "../engine/engine.ts";
import { EdgeformerError } from "../errors.ts";
import type { StageSpan } from "./stage-layout.ts";
import type { StageBatch, StageLink, StageOpening } from "./stage-message.ts";

/** What a stage has to know of itself. */
export interface LayerStageOptions {
  span: StageSpan;
  hiddenSize: number;
  /** Stages of the chain. */
  stages: number;
  /** Names model, engine and plan. */
  version: string;
  /** A name that no other instance has. */
  instance: string;
  /** The stage behind; undefined for the last. */
  next: StageLink | undefined;
}

function refuse(message: string): never {
  throw new EdgeformerError("invalid_model", message);
}

/**
 * A stage behind the first: layers, and the keys and values of whoever runs. It keeps no books: blocks and slots are
 * the first stage's business, so there is nothing here that a request which ends early could leave behind.
 */
export class LayerStage implements StageLink {
  readonly #engine: Engine;
  readonly #options: LayerStageOptions;
  #session: string | undefined;
  #batches = 0;

  constructor(engine: Engine, options: LayerStageOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  async open({ version, stage, chain, session }: StageOpening): Promise<string[]> {
    const { span, stages, instance, next } = this.#options;
    if (stage !== span.index)
      refuse(`stage ${span.index + 1} was called as stage ${stage + 1}: the bindings are in the wrong order`);
    if (version !== this.#options.version)
      refuse(
        `stage ${stage + 1} holds another model, plan or engine: deploy all stages of one split, the last one first`,
      );
    const isLast = stage === stages - 1;
    if (isLast !== (next === undefined))
      refuse(
        isLast
          ? `stage ${stage + 1} is the last of the plan, but another one is bound behind it`
          : `stage ${stage + 1} of ${stages} has no stage behind it: bind NEXT`,
      );
    this.#session = session;
    this.#batches = 0;
    const behind = await next?.open({ version, stage: stage + 1, chain, session });
    return [instance, ...(behind ?? [])];
  }

  async run(batch: StageBatch): Promise<Float32Array> {
    const { span, next, hiddenSize } = this.#options;
    if (batch.session !== this.#session)
      throw new EdgeformerError("io", `stage ${span.index + 1} has lost what it held; open the chain again`);
    if (batch.number !== this.#batches)
      throw new EdgeformerError(
        "io",
        `stage ${span.index + 1} got batch ${batch.number} in place of ${this.#batches}; open the chain again`,
      );
    this.#check(batch);
    this.#batches++;
    const engine = this.#engine;
    const rows = batch.rows.length / 2;
    const wanted = next === undefined ? batch.wanted.length : rows;
    this.#enter(batch);
    engine.blocks(0, span.to - span.from, rows, wanted);
    const hiddenStates = new Float32Array(wanted * hiddenSize);
    for (let row = 0; row < wanted; row++) hiddenStates.set(engine.hiddenStates(row), row * hiddenSize);
    return next === undefined ? hiddenStates : next.run({ ...batch, layer: span.to, hiddenStates });
  }

  /** Refuses what would make the engine read or write where it must not. */
  #check({ layer, tables, rows, wanted, hiddenStates }: StageBatch): void {
    const { span, hiddenSize } = this.#options;
    const { maxRows, maxSequences, kvBlocks, blocksPerSequence, context } = this.#engine.plan;
    if (layer !== span.from)
      refuse(
        `stage ${span.index + 1} has the layers from ${span.from} on, and was given rows for layer ${layer}`,
      );
    const count = rows.length / 2;
    const isWithin = (value: number, end: number) => value >= 0 && value < end;
    if (!Number.isInteger(count) || count < 1 || count > maxRows)
      refuse(`a batch of ${count} rows; there may be 1 to ${maxRows}`);
    if (hiddenStates.length !== count * hiddenSize)
      refuse(`${hiddenStates.length} hidden states for ${count} rows of ${hiddenSize}`);
    for (let i = 0; i < rows.length; i += 2)
      if (!isWithin(rows[i]!, context) || !isWithin(rows[i + 1]!, maxSequences))
        refuse(`row ${i / 2} is position ${rows[i]} of slot ${rows[i + 1]}`);
    for (let i = 0; i < wanted.length; i++)
      if (!isWithin(wanted[i]!, count) || (i > 0 && wanted[i]! <= wanted[i - 1]!))
        refuse(`row ${wanted[i]} of ${count} is wanted`);
    for (let i = 0; i < tables.length; ) {
      const [slot, blocks] = [tables[i]!, tables[i + 1] ?? -1];
      i += 2 + blocks;
      if (!isWithin(slot, maxSequences) || !isWithin(blocks, blocksPerSequence + 1) || i > tables.length)
        refuse(`a table of ${blocks} blocks for slot ${slot}`);
      const wrong = tables.subarray(i - blocks, i).find((block) => !isWithin(block, kvBlocks));
      if (wrong !== undefined) refuse(`block ${wrong} of ${kvBlocks}`);
    }
  }

  #enter({ tables, rows, wanted, hiddenStates }: StageBatch): void {
    const engine = this.#engine;
    for (let i = 0; i < tables.length; ) {
      const [slot, blocks] = [tables[i]!, tables[i + 1]!];
      for (let b = 0; b < blocks; b++) engine.setBlock(slot, b, tables[i + 2 + b]!);
      i += 2 + blocks;
    }
    for (let row = 0; row * 2 < rows.length; row++) engine.setRow(row, 0, rows[row * 2]!, rows[row * 2 + 1]!);
    wanted.forEach((row, i) => {
      engine.setWanted(i, row);
    });
    engine.setHiddenStates(hiddenStates);
  }
}
