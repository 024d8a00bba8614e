import { expect, test } from "vitest";
import { Scheduler } from "../../src/serving/scheduler.ts";
import { LocalStepper } from "../../src/serving/step.ts";
import { FakeStage, fakeGeneration } from "./fake-stage.ts";

const CAPACITY = { kvBlocks: 64, maxSequences: 4, maxRows: 64 };
const VOCABULARY = 50;

test.each([
  [4, 1 + 64 / 4],
  [50, 1 + 1],
  [Number.POSITIVE_INFINITY, 1],
])(
  "behind a step of 64 rows others get their turn as often as asked for: one pause more for %d rows",
  async (rowsPerPause, expected) => {
    const scheduler = new Scheduler(CAPACITY);
    let pauses = 0;
    const pause = async () => {
      pauses++;
    };
    const stepper = new LocalStepper(scheduler, new FakeStage(CAPACITY, VOCABULARY), pause, rowsPerPause);
    scheduler.add(
      fakeGeneration(
        Array.from({ length: 200 }, (_, i) => i % VOCABULARY),
        { maxTokens: 2 },
        VOCABULARY,
      ),
    );
    let seen = await stepper.advance(0);
    expect([seen, pauses]).toEqual([1, 1]);
    seen = await stepper.advance(seen);
    expect([seen, pauses]).toEqual([2, 1 + expected]);
    // Who sees that somebody else has made a step does not wait for its own.
    pauses = 0;
    expect([await stepper.advance(0), pauses]).toEqual([2, 1]);
  },
);
