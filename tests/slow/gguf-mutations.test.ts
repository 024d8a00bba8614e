import { expect, test } from "vitest";
import { mutateGguf } from "../convert/gguf-mutations.ts";

test("5,000 mutations of a GGUF file are read or refused with a typed error, in little memory", async () => {
  await mutateGguf(1, 100);
  const before = process.memoryUsage.rss();
  for (let seed = 2; seed <= 51; seed++) await mutateGguf(seed, 100);
  expect(process.memoryUsage.rss() - before).toBeLessThan(64e6);
});
