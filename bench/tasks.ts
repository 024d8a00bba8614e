// What the engine's benchmark measures, and what it keeps; the report reads it without measuring anything.
import type { Machine } from "./measure.ts";

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

export function taskKey(shape: string, runtime: RuntimeName, task: string, size?: number): string {
  return [shape, runtime, task, ...(size === undefined ? [] : [size])].join("/");
}
