import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { ISOLATE_BYTES } from "../../src/index.ts";

const file = async (path: string) => readFile(new URL(`../../${path}`, import.meta.url), "utf8");

/** What bench/memory/main.ts writes, as far as it is quoted. */
interface Results {
  started: Memory;
  loaded: Memory;
  generated: Memory;
  full: Memory;
  range: [number, number];
  state: { memory_bytes: number; context: number };
  predicted: { wasm: number; total: number };
  cpu: Record<"distilgpt2" | "fable", { load: number; token: number }>;
  times: Record<"readChunks" | "readBuffer" | "load" | "first", number>;
}
type Memory = Record<"total" | "anonymous" | "peak", number>;

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

test("docs/deploy.md quotes what was measured", async () => {
  const guide = (await file("docs/deploy.md")).replace(/\s+/g, " ");
  const results = JSON.parse(await file("bench/memory/results.json")) as Results;
  const { started, loaded, generated, full, range, predicted, cpu, times } = results;
  const quotes = [
    `| started | ${megabytes(started.total)} | ${megabytes(started.anonymous)} |`,
    `| model loaded | ${megabytes(loaded.total)} | ${megabytes(loaded.anonymous)} |`,
    `| after 1,000 generated tokens | ${megabytes(generated.total)} | ${megabytes(generated.anonymous)} |`,
    `| eight sequences at once, every KV block used | ${megabytes(full.total)} | ${megabytes(full.anonymous)} |`,
    `from ${megabytes(range[0])} to ${megabytes(range[1])}`,
    `JavaScript | ${megabytes(predicted.total)} |`,
    `is ${predicted.wasm.toLocaleString("en-US")} bytes, as predicted`,
    `| ${cpu.distilgpt2.load.toFixed(0)} ms | ${cpu.fable.load.toFixed(0)} ms |`,
    `| ${cpu.distilgpt2.token.toFixed(1)} ms | ${cpu.fable.token.toFixed(1)} ms |`,
    `takes ${times.readChunks.toFixed(0)} ms in the pieces`,
    `${times.readBuffer.toFixed(0)} ms into one large buffer`,
    `takes ${times.load.toFixed(0)} ms`,
    `first token: ${times.first.toFixed(0)} ms`,
  ];
  for (const quote of quotes) expect(guide).toContain(quote);
});

test("what was measured keeps the promises: the plan to the byte, 107 MB of WebAssembly, an isolate's 128 in all", async () => {
  const { state, predicted, loaded, generated, full } = JSON.parse(
    await file("bench/memory/results.json"),
  ) as Results;
  expect(state).toMatchObject({ memory_bytes: predicted.wasm, context: 1024 });
  expect(predicted.wasm).toBeLessThanOrEqual(107e6);
  // The peak of a phase is no higher than its end.
  for (const phase of [loaded, generated]) expect(phase.peak).toBeLessThanOrEqual(phase.total + 1e6);
  // What an isolate is charged for: the other pages are of the runtime's own program.
  expect(generated.anonymous).toBeLessThanOrEqual(predicted.total);
  expect(full.anonymous).toBeLessThanOrEqual(ISOLATE_BYTES);
});
