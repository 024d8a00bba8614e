import type { StageBatch, StageLink, StageOpening } from "../../src/chain/stage-message.ts";
import { EdgeformerError, type ErrorCode } from "../../src/errors.ts";

/**
 * What a call of a stage gives. An error that is thrown across a call loses its code on the way, so those of the library
 * travel as data; whatever else is thrown means that the stage is away.
 */
export type StageAnswer<T> = { value: T } | { error: { code: ErrorCode; message: string } };

/** The calls of a stage's object, as they look from another isolate. */
export interface StageCalls {
  /** Loads this stage's weights, and those of all behind it. */
  load(chain: string): Promise<StageAnswer<null>>;
  open(opening: StageOpening): Promise<StageAnswer<string[]>>;
  run(batch: StageBatch): Promise<StageAnswer<Float32Array>>;
}

/** A binding to the objects of another Worker's class. */
export interface StageNamespace {
  idFromName(name: string): unknown;
  get(id: unknown): StageCalls;
}

/** How long a stage may take before it counts as away. */
export interface StagePatience {
  /** To load its weights. */
  loadMs: number;
  /** For a batch, with all stages behind it. */
  runMs: number;
}

/** Turns the library's errors into data. */
export async function answered<T>(compute: () => Promise<T>): Promise<StageAnswer<T>> {
  try {
    return { value: await compute() };
  } catch (error) {
    if (!(error instanceof EdgeformerError)) throw error;
    return { error: { code: error.code, message: error.message } };
  }
}

async function within<T>(ms: number, call: Promise<StageAnswer<T>>): Promise<T> {
  const timer = new AbortController();
  const late = scheduler.wait(ms, { signal: timer.signal }).then(
    () => {
      throw new EdgeformerError("io", `no answer for ${ms} ms`);
    },
    () => undefined as never,
  );
  try {
    const answer = await Promise.race([call, late]);
    if ("error" in answer) throw new EdgeformerError(answer.error.code, answer.error.message);
    return answer.value;
  } finally {
    timer.abort();
  }
}

/** The next stage, in another isolate. */
export class RemoteStage implements StageLink {
  readonly #namespace: StageNamespace;
  readonly #patience: StagePatience;
  #stub: StageCalls | undefined;

  constructor(namespace: StageNamespace, patience: StagePatience) {
    this.#namespace = namespace;
    this.#patience = patience;
  }

  /** A stub that has failed once fails for ever, so whoever begins anew takes a new one. */
  #connect(chain: string): StageCalls {
    this.#stub = this.#namespace.get(this.#namespace.idFromName(chain));
    return this.#stub;
  }

  async load(chain: string): Promise<void> {
    await within(this.#patience.loadMs, this.#connect(chain).load(chain));
  }

  open(opening: StageOpening): Promise<string[]> {
    return within(this.#patience.loadMs, this.#connect(opening.chain).open(opening));
  }

  async run(batch: StageBatch): Promise<Float32Array> {
    if (this.#stub === undefined) throw new EdgeformerError("io", "the chain is not open");
    return within(this.#patience.runMs, this.#stub.run(batch));
  }
}
