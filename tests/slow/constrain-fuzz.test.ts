import { expect, test } from "vitest";
import { fuzz } from "../constrain/fuzz.ts";

test.each(Array.from({ length: 10 }, (_, i) => i + 100))("2,000 random schemas, seed %i", (seed) => {
  const counts = fuzz(seed, 2000);
  console.log(counts);
  expect(counts.refused).toBeLessThan(counts.schemas / 5);
  expect(counts.broken).toBeLessThan(counts.values / 100);
  expect(counts.ended).toBeGreaterThan(counts.walks / 2);
});
