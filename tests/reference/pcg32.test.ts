import { expect, test } from "vitest";
import { Pcg32 } from "./pcg32.ts";

test("PCG32 gives the numbers that the reference implementation's demo prints", () => {
  const generator = new Pcg32(42n, 54n);
  expect(Array.from({ length: 6 }, () => generator.next().toString(16))).toEqual([
    "a15c02b7",
    "7b47f409",
    "ba1d3330",
    "83d2f293",
    "bfa4784b",
    "cbed606e",
  ]);
});
