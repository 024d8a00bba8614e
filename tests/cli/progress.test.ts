import { expect, test } from "vitest";
import { formatBytes, ProgressBar } from "../../src/cli/progress.ts";

/** A bar on a stream that keeps what is written, and a clock that the test moves. */
function bar(isTTY: boolean) {
  const written: string[] = [];
  const clock = { ms: 0 };
  const stream = { isTTY, write: (text: string) => written.push(text) };
  return { written, clock, bar: new ProgressBar(stream, () => clock.ms) };
}

test("nothing is shown for work of less than a second", () => {
  const { written, clock, bar: progress } = bar(true);
  for (clock.ms = 0; clock.ms < 1000; clock.ms += 50) progress.update("converting", clock.ms, 1000);
  progress.clear();
  expect(written).toEqual([]);
});

test("a terminal's line is redrawn with size and speed, and cleared at the end", () => {
  const { written, clock, bar: progress } = bar(true);
  progress.update("downloading", 0, 4e6);
  clock.ms = 2000;
  progress.update("downloading", 1e6, 4e6);
  clock.ms = 2050;
  progress.update("downloading", 2e6, 4e6);
  expect(written).toEqual(["\r[######------------------] downloading 1.0 MB of 4.0 MB, 500.0 kB/s 25 %"]);
  progress.clear();
  expect(written[1]).toMatch(/^\r +\r$/);
});

test("a log gets a line now and then, and one at the end", () => {
  const { written, clock, bar: progress } = bar(false);
  for (clock.ms = 0; clock.ms <= 12_000; clock.ms += 100) progress.update("verifying", clock.ms / 12_000, 1);
  progress.update("verifying", 1, 1);
  expect(written).toEqual(["verifying 8 %\n", "verifying 50 %\n", "verifying 91 %\n", "verifying 100 %\n"]);
});

test("sizes are decimal, like those of files", () => {
  expect([999, 12_345, 12_345_678, 1.5e9].map(formatBytes)).toEqual([
    "1.0 kB",
    "12.3 kB",
    "12.3 MB",
    "1.50 GB",
  ]);
});
