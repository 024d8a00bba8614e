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
