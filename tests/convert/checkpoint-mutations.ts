// Checkpoints, adapters, tokenizers and model directories that somebody has meddled with.
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect } from "vitest";
import { describeModel, inspectModel } from "../../src/cli/inspect.ts";
import { convert } from "../../src/convert/convert.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { parseManifest } from "../../src/format/manifest.ts";
import { engineModule, openModel, openTokenizer } from "../../src/node/index.ts";

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
    "\u2581",
    " ",
    "aa",
    "<|im_end|>",
    "Sequence",
    [],
    {},
    [[]],
  ),
  fc.constantFrom<unknown>(...DEEP),
  fc.jsonValue({ maxDepth: 2 }),
);

/** A list or a text that is longer than it was; anything else in a list of itself. */
function longer(value: unknown): unknown {
  if (Array.isArray(value)) return Array.from({ length: 20 }, () => value).flat();
  return typeof value === "string" ? value.repeat(20) : [value];
}

/**
 * Changes one value somewhere in a JSON value: replaced, removed, repeated under another name, swapped with a neighbour,
 * made longer, turned around, or put under a hostile name.
 */
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
  else if (kind === 3) copy[key] = longer(copy[key]);
  else if (kind === 4) copy[key] = Array.isArray(copy[key]) ? copy[key].toReversed() : String(copy[key]);
  else if (kind === 5) copy[String(hostile)] = copy[key];
  else copy[key] = hostile;
  return copy;
}

const jsonMutation: fc.Arbitrary<(value: unknown) => unknown> = fc
  .tuple(fc.array(fc.nat(200), { minLength: 1, maxLength: 5 }), fc.nat(9), HOSTILE_VALUES)
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

/** What no JSON writer writes: a key twice, numbers that are none, lists without end. */
const jsonTextMutation: fc.Arbitrary<Mutation> = fc
  .tuple(
    fc.nat(500),
    fc.constantFrom("NaN", "-Infinity", "1e999", '"\\ud800"', "[".repeat(100_000), '{"a":'.repeat(100_000)),
    fc.boolean(),
  )
  .map(([at, value, twice]) => (bytes) => {
    const values = [
      ...Buffer.from(bytes)
        .toString()
        .matchAll(/("(?:[^"\\]|\\.)*")\s*:/g),
    ];
    const key = values[at % Math.max(1, values.length)];
    if (key === undefined) return bytes;
    const text = Buffer.from(bytes).toString();
    const end = key.index + key[0].length;
    return Buffer.from(
      twice
        ? `${text.slice(0, key.index)}${key[1]}: ${value}, ${text.slice(key.index)}`
        : `${text.slice(0, end)}${value}${text.slice(end).replace(/^\s*[^,}]*/, "")}`,
    );
  });

/** Lines left out, doubled, joined, or in another order. */
const lineMutation: fc.Arbitrary<Mutation> = fc
  .tuple(
    fc.nat(10_000),
    fc.nat(10_000),
    fc.nat(3),
    fc.constantFrom("", "a", "a b c", " ", "\u0000", "x".repeat(5000)),
  )
  .map(([first, second, kind, hostile]) => (bytes) => {
    const lines = Buffer.from(bytes).toString().split("\n");
    const [at, other] = [first % lines.length, second % lines.length];
    if (kind === 0) lines.splice(at, 1);
    else if (kind === 1) lines[at] = lines[other]!;
    else if (kind === 2) [lines[at], lines[other]] = [lines[other]!, lines[at]!];
    else lines[at] = hostile;
    return Buffer.from(lines.join("\n"));
  });

/** Mutations that suit a file, from its name. */
function mutationOf(name: string): fc.Arbitrary<Mutation> {
  if (name.endsWith(".json"))
    return fc.oneof(
      { weight: 6, arbitrary: jsonMutation.map(onJson) },
      { weight: 1, arbitrary: jsonTextMutation },
      { weight: 2, arbitrary: byteMutation },
    );
  if (name.endsWith(".txt")) return fc.oneof({ weight: 3, arbitrary: lineMutation }, byteMutation);
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
    if (!(cause instanceof EdgeformerError) || !/^.{1,2001}$/.test(cause.message)) throw cause;
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

const TEXT = "Hello, world! 123 \u00e9\u{1f642} \u0000 \u65e5\u672c \ufffd<|im_end|></s> x";

/** What was accepted can be used, or says with a typed error why not: texts are read, tokens are written. */
async function use(directory: string): Promise<void> {
  const model = await openModel(directory, {
    module: await engineModule(),
    maxSequences: 1,
    memoryLimit: 32 * 2 ** 20,
  });
  try {
    const { tokenizer, manifest } = model;
    const valid = (ids: number[]) => {
      if (!ids.every((id) => Number.isInteger(id) && id >= 0 && id < manifest.recipe.vocabSize))
        throw new Error(`a token that is none: ${ids}`);
    };
    for (const allowSpecial of [false, true]) {
      const ids = tokenizer?.encode(TEXT, { allowSpecial }) ?? [];
      valid(ids);
      tokenizer?.decode(ids);
    }
    const { ids } = await model.complete([1, 2, 3], { maxTokens: 2, temperature: 1, seed: 7 });
    valid(ids);
    if (tokenizer && manifest.chat_template !== undefined)
      valid(await (await openTokenizer(directory)).applyChatTemplate([{ role: "user", content: TEXT }]));
  } finally {
    model.dispose();
  }
}

/** Converts a checkpoint, with an adapter in one of its folders if one is given, uses the model and takes it away. */
export function conversion(original: string, files: string[], adapter?: string): Subject {
  return {
    original,
    files,
    run: async (source, out) => {
      await convert({ source, out, ...(adapter === undefined ? {} : { lora: join(source, adapter) }) });
      try {
        await use(out);
      } finally {
        rmSync(out, { recursive: true });
      }
    },
  };
}

/** Writes into model.json what its files are, as somebody would who wants them to be taken for whole. */
function seal(directory: string): void {
  const path = join(directory, "model.json");
  let manifest: Record<string, unknown>;
  try {
    manifest = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return;
  }
  const named = [manifest?.parts, manifest?.tokenizer].flat() as ({ file?: unknown } | null)[];
  for (const info of named) {
    if (typeof info?.file !== "string" || !readdirSync(directory).includes(info.file)) continue;
    const bytes = readFileSync(join(directory, info.file));
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    Object.assign(info, { bytes: bytes.length, sha256 });
  }
  writeFileSync(path, JSON.stringify(manifest));
}

/** Loads a model directory and uses it: as it is, or with hashes that fit. */
export function loading(original: string, { sealed = false } = {}): Subject {
  return {
    original,
    files: readdirSync(original).filter((name) => name !== "README.md"),
    run: async (directory) => {
      const path = join(directory, "model.json");
      const before = readFileSync(path);
      if (sealed) seal(directory);
      try {
        await use(directory);
        describeModel(inspectModel(parseManifest(JSON.parse(readFileSync(path, "utf8")))));
      } finally {
        writeFileSync(path, before);
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
