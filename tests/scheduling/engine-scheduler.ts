import type { Engine } from "../../src/engine/engine.ts";
import { EngineStage } from "../../src/serving/engine-stage.ts";
import { Scheduler, type SchedulerOptions } from "../../src/serving/scheduler.ts";
import { step } from "../../src/serving/step.ts";

/** A scheduler together with an engine that computes its batches. */
export class EngineScheduler extends Scheduler {
  readonly #stage: EngineStage;

  constructor(engine: Engine, options?: SchedulerOptions) {
    super(engine.plan, options);
    this.#stage = new EngineStage(engine);
  }

  /** @returns false when there was nothing to do */
  step(): boolean {
    return step(this, this.#stage);
  }
}
