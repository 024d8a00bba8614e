import type { Scheduler } from "./scheduler.ts";
import type { Outcomes, Stage } from "./stage.ts";

/**
 * One step for everybody. If the stage throws, the sequences of that step get the error, and nobody else does.
 *
 * @returns false when there was nothing to do
 */
export function step(scheduler: Scheduler, stage: Stage): boolean {
  const batch = scheduler.next();
  if (batch === undefined) return false;
  let outcomes: Outcomes;
  try {
    outcomes = stage.run(batch);
  } catch (error) {
    scheduler.fail(error);
    return true;
  }
  scheduler.accept(outcomes);
  return true;
}

/** Makes steps whenever somebody waits for one. */
export interface Stepper {
  readonly scheduler: Scheduler;
  /**
   * A step for everybody, and a turn for others. It never rejects: who is hit by a failure finds the error at its sequence.
   *
   * @param seen what this resolved to the last time, or the scheduler's steps when the sequence was added
   * @returns the steps so far, for the next call
   */
  advance(seen: number): Promise<number>;
}

/** Steps on a stage in this isolate. */
export class LocalStepper implements Stepper {
  readonly scheduler: Scheduler;
  readonly #stage: Stage;
  readonly #pause: () => Promise<void>;
  readonly #rowsPerPause: number;

  /**
   * @param pause awaited between two steps, so that other work gets its turn
   * @param rowsPerPause for each so many rows of the step before there is one more pause
   */
  constructor(scheduler: Scheduler, stage: Stage, pause: () => Promise<void>, rowsPerPause: number) {
    this.scheduler = scheduler;
    this.#stage = stage;
    this.#pause = pause;
    this.#rowsPerPause = rowsPerPause;
  }

  /**
   * Makes no step if somebody else has made one since `seen`: if each of 64 sequences made a step of its own, everybody's
   * tokens would come in bursts of 64.
   */
  async advance(seen: number): Promise<number> {
    const { scheduler } = this;
    for (let due = scheduler.lastRows; due >= this.#rowsPerPause; due -= this.#rowsPerPause) {
      if (scheduler.steps !== seen) break;
      await this.#pause();
    }
    if (scheduler.steps === seen) step(scheduler, this.#stage);
    const { steps } = scheduler;
    await this.#pause();
    return steps;
  }
}
