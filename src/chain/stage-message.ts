// What the stages of a chain tell each other: plain data and typed arrays, which structured cloning copies.

/** Asks a stage, and through it all behind, to begin anew. */
export interface StageOpening {
  /** Names model, engine and plan: `chainVersion`. */
  version: string;
  /** Which stage this is for, from 1. */
  stage: number;
  /** Names the chain: its stages are other objects than those of a chain of another name. */
  chain: string;
  /** A name that no other opening has. What comes under another one is refused from now on. */
  session: string;
}

/** A batch on its way: rows between two layers. */
export interface StageBatch {
  session: string;
  /** Batches of this session before it. */
  number: number;
  /** The layer that comes next. */
  layer: number;
  /** Sequences that enter a slot: for each the slot, how many blocks it has, and those. */
  tables: Int32Array;
  /** [rows, 2]: position and slot. */
  rows: Int32Array;
  /** The rows that somebody reads, ascending. */
  wanted: Int32Array;
  /** [rows, hiddenSize]. */
  hiddenStates: Float32Array;
}

/** A stage as the one before it sees it. */
export interface StageLink {
  /** Forgets what the sessions before had computed. Resolves to a name for each instance from here to the last stage. */
  open(opening: StageOpening): Promise<string[]>;
  /** The hidden states of the wanted rows behind the last layer: [wanted, hiddenSize]. */
  run(batch: StageBatch): Promise<Float32Array>;
}
