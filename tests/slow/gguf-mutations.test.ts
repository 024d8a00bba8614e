import { expect, test } from "vitest";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import { mutateConversion, mutateGguf } from "../convert/gguf-mutations.ts";

const temporary = temporaryDirectory();

test("5,000 mutations of a GGUF file are read or refused with a typed error, in little memory", async () => {
  await mutateGguf(1, 100);
  const before = process.memoryUsage.rss();
  for (let seed = 2; seed <= 51; seed++) await mutateGguf(seed, 100);
  expect(process.memoryUsage.rss() - before).toBeLessThan(64e6);
});

test("1,000 mutations of a model convert or are refused with a typed error, and leave nothing behind", async () => {
  for (let seed = 1; seed <= 10; seed++) await mutateConversion(seed, 100, temporary);
});
