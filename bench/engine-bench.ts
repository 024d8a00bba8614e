import { alternate, type Case, machine, pinToOneProcessor } from "./measure.ts";
import { nodeSubject } from "./node.ts";
import { SHAPES, type Shape } from "./shapes.ts";
import type { Task } from "./subject.ts";
import {
  BATCHES,
  CONTEXTS,
  type EngineResults,
  PREFILLS,
  type RuntimeName,
  SAMPLING,
  taskKey,
} from "./tasks.ts";
import { Workerd } from "./workerd.ts";

const TASKS: Task[] = [
  { kind: "bandwidth" },
  ...CONTEXTS.map((context): Task => ({ kind: "decode", context, tokens: 16 })),
  ...PREFILLS.map((tokens): Task => ({ kind: "prefill", tokens })),
  ...BATCHES.map((sequences): Task => ({ kind: "batch", sequences, tokens: 8 })),
  { kind: "sample", ...SAMPLING },
  { kind: "firstToken", tokens: 128 },
  { kind: "generate", sequences: 1, tokens: 64 },
  { kind: "load" },
];

function keyOf(shape: Shape, runtime: RuntimeName, task: Task): string {
  const size =
    task.kind === "decode"
      ? task.context
      : task.kind === "batch" || task.kind === "generate"
        ? task.sequences
        : task.kind === "prefill" || task.kind === "firstToken"
          ? task.tokens
          : undefined;
  return taskKey(shape.name, runtime, task.kind, size);
}

/** Every task on every shape, in Node and in workerd, side by side in each round. */
export async function benchEngine(names: string[], rounds: number): Promise<EngineResults> {
  const samples: Record<string, number[]> = {};
  const pinned = pinToOneProcessor();
  for (const name of names) {
    const shape = SHAPES[name]!;
    console.error(`${name}: ${TASKS.length} tasks in Node and workerd`);
    const node = await nodeSubject(shape);
    const workerd = await Workerd.start();
    const cases = TASKS.flatMap((task): Case[] => [
      { label: keyOf(shape, "node", task), measure: () => node.run(task) },
      { label: keyOf(shape, "workerd", task), measure: () => workerd.run(shape, task) },
    ]);
    for (const [label, values] of await alternate(cases, rounds)) samples[label] = values;
    await workerd.stop();
  }
  return { machine: machine(["workerd"]), pinned, rounds, samples };
}
