import { expect, test } from "vitest";
import { describeMatrices } from "../../src/cli/describe-matrices.ts";
import type { WeightKind } from "../../src/format/kinds.ts";

test("names the shape of each matrix, and the blocks that have it in each kind", () => {
  const tensor = (name: string, kind: WeightKind, rows: number, columns: number) => ({
    ...{ name, kind, rows, columns },
    offset: 0,
    bytes: 0,
  });
  const blocks = [0, 1, 2, 3, 4, 5].flatMap((block) => [
    tensor(`blocks.${block}.inputNorm`, "float32", 8, 1),
    tensor(`blocks.${block}.mlpInput`, [1, 2, 4].includes(block) ? "four-bit" : "int8-steps", 32, 8),
    tensor(`blocks.${block}.mlpOutput`, "four-bit", 8, 32),
  ]);
  expect(describeMatrices([tensor("embedding", "int8", 100, 8), ...blocks])).toEqual([
    ["embedding", "100 × 8, int8"],
    ["mlpInput", "32 × 8, int8-steps in blocks 0, 3, 5; four-bit in blocks 1–2, 4"],
    ["mlpOutput", "8 × 32, four-bit in blocks 0–5"],
  ]);
});
