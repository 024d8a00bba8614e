import { expect, test } from "vitest";
import { fuzz } from "./fuzz.ts";

test("random schemas allow what ajv allows, and nothing else", () => {
  const counts = fuzz(1, 200);
  // Otherwise nothing was tested.
  expect(counts.refused).toBeLessThan(counts.schemas / 5);
  expect(counts.broken).toBeLessThan(counts.values / 100);
  expect(counts.valid).toBeGreaterThan(500);
  expect(counts.ended).toBeGreaterThan(counts.walks / 2);
});
