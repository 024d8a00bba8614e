import type { StageMemory } from "../chain/plan.ts";
import { formatBytes } from "./progress.ts";

const WIDTH = 40;

function contents({ index, from, to }: StageMemory): string {
  const layers = to === from ? [] : [to - from === 1 ? `layer ${from}` : `layers ${from} to ${to - 1}`];
  return [...(index === 0 ? ["embedding"] : []), ...layers, ...(index === 0 ? ["head"] : [])].join(", ");
}

/** A bar whose whole length is the isolate's share: weights full, the cache half, scratch light. */
function bar({ weights, cache, bytes }: StageMemory, limit: number): string {
  const ends = [weights, weights + cache, bytes].map((end) =>
    Math.min(WIDTH, Math.round((end / limit) * WIDTH)),
  );
  const [full, half, light] = ends as [number, number, number];
  const drawn = "█".repeat(full) + "▒".repeat(half - full) + "░".repeat(light - half);
  return `${drawn.padEnd(WIDTH, "·")}`;
}

/** A row for each stage: its name, and what it has where. */
export function drawChain(stages: readonly StageMemory[], limit: number): [label: string, value: string][] {
  const width = Math.max(...stages.map((stage) => contents(stage).length));
  return stages.map((stage) => [
    `stage ${stage.index + 1}`,
    `${contents(stage).padEnd(width)}  ${bar(stage, Math.max(limit, stage.bytes))}  ${formatBytes(stage.bytes)}: ` +
      `weights ${formatBytes(stage.weights)}, cache ${formatBytes(stage.cache)}, scratch ${formatBytes(stage.scratch)}`,
  ]);
}
