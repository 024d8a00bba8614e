import type { WeightKind } from "../format/kinds.ts";
import type { TensorInfo } from "../format/layout.ts";

/** [0, 1, 2, 5] as "0–2, 5" */
function ranges(numbers: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run && run[1] === number - 1) run[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(", ");
}

/** The matrices of a model, a line for all blocks' of one name: its shape, and which kind it has in which blocks. */
export function describeMatrices(tensors: readonly TensorInfo[]): [name: string, description: string][] {
  const byName = new Map<string, { shape: string; blocks: Map<WeightKind, number[]> }>();
  for (const { name, kind, rows, columns } of tensors) {
    if (kind === "float32") continue;
    const [, block, own] = /^blocks\.(\d+)\.(.+)$/.exec(name) ?? [];
    const key = own ?? name;
    let matrix = byName.get(key);
    if (matrix === undefined)
      byName.set(key, (matrix = { shape: `${rows} × ${columns}`, blocks: new Map() }));
    const blocks = matrix.blocks.get(kind) ?? [];
    if (block !== undefined) blocks.push(Number(block));
    matrix.blocks.set(kind, blocks);
  }
  return [...byName].map(([name, { shape, blocks }]) => {
    const kinds = [...blocks].map(([kind, numbers]) =>
      numbers.length === 0
        ? kind
        : `${kind} in ${numbers.length === 1 ? "block" : "blocks"} ${ranges(numbers)}`,
    );
    return [name, `${shape}, ${kinds.join("; ")}`];
  });
}
