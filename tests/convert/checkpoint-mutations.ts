// Checkpoints, adapters and model directories that somebody has meddled with.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { engineModule, openModel } from "../../src/node/index.ts";

type Mutation = (bytes: Uint8Array) => Uint8Array;

const DEEP = [50, 3000].map((depth) => JSON.parse("[".repeat(depth) + "]".repeat(depth)) as unknown);

const HOSTILE_VALUES: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    0.5,
    1,
    2,
    3,
    64,
    2 ** 31,
    2 ** 53,
    1e308,
    -1e-320,
    "",
    "\u0000\u001b[2J\n",
    "../../escape",
    `${"x".repeat(5000)}.safetensors`,
    "model.safetensors",
    "/dev/zero",
    "__proto__",
    "x".repeat(5000),
    "F8_E4M3",
    "F64",
    "(a+)+$",
    [],
    {},
    [[]],
  ),
  fc.constantFrom<unknown>(...DEEP),
  fc.jsonValue({ maxDepth: 2 }),
);

/** Changes one value somewhere in a JSON value: replaced, removed, repeated under another name, or swapped with a neighbour. */
function changeJson(value: unknown, path: readonly number[], kind: number, hostile: unknown): unknown {
  if (typeof value !== "object" || value === null || path.length === 0) return hostile;
  const keys = Object.keys(value);
  if (keys.length === 0) return hostile;
  const key = keys[path[0]! % keys.length]!;
  const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
  if (path.length > 1) copy[key] = changeJson(copy[key], path.slice(1), kind, hostile);
  else if (kind === 0) delete copy[key];
  else if (kind === 1) copy[`${key}2`] = copy[key];
  else if (kind === 2) copy[key] = copy[keys[(path[0]! + 1) % keys.length]!];
  else copy[key] = hostile;
  return copy;
}

const jsonMutation: fc.Arbitrary<(value: unknown) => unknown> = fc
  .tuple(fc.array(fc.nat(200), { minLength: 1, maxLength: 3 }), fc.nat(6), HOSTILE_VALUES)
  .map(
    ([path, kind, hostile]) =>
      (value) =>
        changeJson(value, path, kind, hostile),
  );

function onJson(change: (value: unknown) => unknown): Mutation {
  return (bytes) => {
    try {
      return Buffer.from(JSON.stringify(change(JSON.parse(Buffer.from(bytes).toString()))));
    } catch {
      return bytes;
    }
  };
}

/** The same in the header of a safetensors file. */
function onHeader(change: (value: unknown) => unknown): Mutation {
  return (bytes) => {
    const file = Buffer.from(bytes);
    if (file.length < 8) return bytes;
    const end = 8 + Number(file.readBigUInt64LE(0));
    const header = onJson(change)(file.subarray(8, end));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    return Buffer.concat([length, header, file.subarray(end)]);
  };
}

const WORDS = [0n, 1n, 1n << 20n, 1n << 31n, 1n << 40n, 1n << 60n, (1n << 64n) - 1n];

/** Bytes changed, a word made huge, a piece repeated or left out, the end cut off. `place` runs from 0 to 1. */
const byteMutation: fc.Arbitrary<Mutation> = fc
  .record({
    // The structure is at the front, or at the end.
    place: fc.oneof(
      fc.double({ min: 0, max: 0.05, noNaN: true }),
      fc.double({ min: 0.95, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
    ),
    kind: fc.nat(4),
    value: fc.nat(255),
    word: fc.constantFrom(...WORDS),
    length: fc.nat(64),
  })
  .map(({ place, kind, value, word, length }) => (bytes) => {
    const file = Buffer.from(bytes);
    const at = Math.min(Math.floor(place * file.length), Math.max(0, file.length - 9));
    if (kind === 0 && file.length > 0) file[at] = value;
    if (kind === 1 && file.length >= 8) file.writeBigUInt64LE(word, at);
    if (kind === 2) return Buffer.concat([file.subarray(0, at + length), file.subarray(at)]);
    if (kind === 3) return Buffer.concat([file.subarray(0, at), file.subarray(at + length)]);
    return kind === 4 ? file.subarray(0, at) : file;
  });

/** Mutations that suit a file, from its name. */
function mutationOf(name: string): fc.Arbitrary<Mutation> {
  if (name.endsWith(".json"))
    return fc.oneof({ weight: 3, arbitrary: jsonMutation.map(onJson) }, byteMutation);
  if (name.endsWith(".safetensors")) return fc.oneof(jsonMutation.map(onHeader), byteMutation);
  return byteMutation;
}

/** What one case cost: CPU time in seconds. */
export interface Outcome {
  error: EdgeformerError | undefined;
  seconds: number;
}

/** Runs a case; anything but a typed error of one line escapes. */
async function outcomeOf(run: () => Promise<unknown>): Promise<Outcome> {
  const start = process.cpuUsage();
  let error: EdgeformerError | undefined;
  try {
    await run();
  } catch (cause) {
    if (!(cause instanceof EdgeformerError) || cause.message.includes("\n")) throw cause;
    error = cause;
  }
  const { user, system } = process.cpuUsage(start);
  const seconds = (user + system) / 1e6;
  expect(seconds).toBeLessThan(2);
  return { error, seconds };
}

/** A directory with files that are mutated, and what is done with it. */
export interface Subject {
  /** Copied for each case. */
  original: string;
  /** The files that are mutated, below it. */
  files: string[];
  run: (directory: string, out: string) => Promise<unknown>;
}

/** Converts a checkpoint, with an adapter in one of its folders if one is given. */
export function conversion(original: string, files: string[], adapter?: string): Subject {
  return {
    original,
    files,
    run: (source, out) =>
      convert({ source, out, ...(adapter === undefined ? {} : { lora: join(source, adapter) }) }),
  };
}

/** Loads a model directory and lets it write a few tokens. */
export function loading(original: string): Subject {
  return {
    original,
    files: readdirSync(original),
    run: async (directory) => {
      const model = await openModel(directory, {
        module: await engineModule(),
        maxSequences: 1,
        context: 16,
      });
      try {
        await model.complete([1, 2, 3], { maxTokens: 2, temperature: 0 });
      } finally {
        model.dispose();
      }
    },
  };
}

/**
 * Tries `count` mutations of a directory below `workplace`, which is empty before and after but for what the subject wrote.
 *
 * @returns how many were refused
 */
export async function mutateDirectory(
  subject: Subject,
  workplace: string,
  seed: number,
  count: number,
): Promise<{ refused: number; slowest: number }> {
  const [directory, out] = [join(workplace, "source"), join(workplace, "out")];
  const contents = new Map(subject.files.map((name) => [name, readFileSync(join(subject.original, name))]));
  const cases = fc.sample(
    fc
      .constantFrom(...subject.files)
      .chain((name) =>
        fc.tuple(fc.constant(name), fc.array(mutationOf(name), { minLength: 1, maxLength: 2 })),
      ),
    { seed, numRuns: count },
  );
  mkdirSync(workplace, { recursive: true });
  cpSync(subject.original, directory, { recursive: true });
  const listing = () => readdirSync(workplace, { recursive: true }).map(String).sort();
  const before = listing();
  let [refused, slowest] = [0, 0];
  for (const [i, [name, mutations]] of cases.entries()) {
    const original = contents.get(name)!;
    writeFileSync(
      join(directory, name),
      mutations.reduce<Uint8Array>((bytes, one) => one(bytes), original),
    );
    try {
      const { error, seconds } = await outcomeOf(() => subject.run(directory, out));
      slowest = Math.max(slowest, seconds);
      if (error) {
        refused++;
        expect(listing()).toEqual(before);
      }
    } catch (cause) {
      throw new Error(`case ${i} of seed ${seed}, ${name}: ${String(cause).slice(0, 500)}`, { cause });
    }
    writeFileSync(join(directory, name), original);
    rmSync(out, { recursive: true, force: true });
    expect(listing()).toEqual(before);
  }
  rmSync(workplace, { recursive: true });
  return { refused, slowest };
}
