import { alternate, type Case, type Machine, machine, pinToOneProcessor } from "./measure.ts";
import { nodeSubject } from "./node.ts";
import { SHAPES, type Shape } from "./shapes.ts";
import type { Task } from "./subject.ts";
import { Workerd } from "./workerd.ts";

export const PREFILLS = [16, 128, 512];
export const CONTEXTS = [64, 512, 1000];
export const BATCHES = [1, 2, 4, 8, 16];
export const SAMPLING = { temperature: 0.8, topK: 40, topP: 0.95 };

export type RuntimeName = "node" | "workerd";

export interface EngineResults {
  machine: Machine;
  /** Whether Node and workerd were kept on one processor. */
  pinned: boolean;
  rounds: number;
  /** Milliseconds (bandwidth: bytes per second) by shape, runtime and task; taskKey() names the task. */
  samples: Record<string, number[]>;
}

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

export function taskKey(shape: string, runtime: RuntimeName, task: string, size?: number): string {
  return [shape, runtime, task, ...(size === undefined ? [] : [size])].join("/");
}

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
