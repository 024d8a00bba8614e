import { expect, test } from "vitest";
import { fuzz } from "../constrain/fuzz.ts";

/** Random schemas in all; docs/constrain.md says how many were tried once. */
const SCHEMAS = Number(process.env.FUZZ_SCHEMAS ?? 4000);
const AT_ONCE = 500;

test.each(Array.from({ length: Math.ceil(SCHEMAS / AT_ONCE) }, (_, i) => i + 100))(
  "random schemas, seed %i",
  (seed) => {
    const counts = fuzz(seed, AT_ONCE);
    console.log(counts);
    expect(counts.refused).toBeLessThan(counts.schemas / 5);
    expect(counts.broken).toBeLessThan(counts.values / 100);
    expect(counts.ended).toBeGreaterThan(counts.walks / 2);
  },
);
