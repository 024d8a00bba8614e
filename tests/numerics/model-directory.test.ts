// Damaged and foreign model directories: a typed error that says what to do, never text.
import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ErrorCode } from "../../src/index.ts";
import { openModel } from "../../src/node/index.ts";
import { convertOdd, withDirectory } from "./harness.ts";

type Json = Record<string, unknown>;

function editManifest(directory: string, edit: (manifest: Json) => void): void {
  const path = join(directory, "model.json");
  const manifest = JSON.parse(readFileSync(path, "utf8")) as Json;
  edit(manifest);
  writeFileSync(path, JSON.stringify(manifest));
}

function flipByte(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at < 0 ? bytes.length + at : at]! ^= 0x10;
  writeFileSync(path, bytes);
}

const PART = "weights.00.bin";

const damages: { name: string; damage: (directory: string) => void; code: ErrorCode; message: RegExp }[] = [
  {
    name: "no model.json",
    damage: (d) => rmSync(join(d, "model.json")),
    code: "invalid_model",
    message: /model\.json/,
  },
  {
    name: "model.json is not JSON",
    damage: (d) => writeFileSync(join(d, "model.json"), '{"format": "edge'),
    code: "invalid_model",
    message: /not valid JSON/,
  },
  {
    name: "model.json is something else",
    damage: (d) => writeFileSync(join(d, "model.json"), "[1, 2]"),
    code: "invalid_model",
    message: /object/,
  },
  {
    name: "another format version",
    damage: (d) => editManifest(d, (m) => void (m.version = 99)),
    code: "invalid_model",
    message: /version 99.*convert/,
  },
  {
    name: "a tensor too few",
    damage: (d) => editManifest(d, (m) => void (m.tensors as Json[]).pop()),
    code: "invalid_model",
    message: /tensors/,
  },
  {
    name: "a tensor elsewhere",
    damage: (d) => editManifest(d, (m) => void ((m.tensors as Json[])[3]!.offset = 64)),
    code: "invalid_model",
    message: /tensors\[3\]\.offset/,
  },
  {
    name: "sizes that do not fit the tensors",
    damage: (d) => editManifest(d, (m) => void ((m.config as Json).n_layer = 2)),
    code: "invalid_model",
    message: /./,
  },
  {
    name: "a part outside the directory",
    damage: (d) => editManifest(d, (m) => void ((m.parts as Json[])[0]!.file = "../secret.bin")),
    code: "invalid_model",
    message: /plain file name/,
  },
  {
    name: "a missing part",
    damage: (d) => rmSync(join(d, PART)),
    code: "invalid_model",
    message: /weights\.00\.bin/,
  },
  {
    name: "the first byte flipped",
    damage: (d) => flipByte(join(d, PART), 0),
    code: "invalid_model",
    message: /weights\.00\.bin.*SHA-256/,
  },
  {
    name: "the last byte flipped",
    damage: (d) => flipByte(join(d, PART), -1),
    code: "invalid_model",
    message: /weights\.00\.bin.*SHA-256/,
  },
  {
    name: "a truncated part",
    damage: (d) => truncateSync(join(d, PART), 100_001),
    code: "invalid_model",
    message: /ends after 100001/,
  },
  {
    name: "an empty part",
    damage: (d) => writeFileSync(join(d, PART), ""),
    code: "invalid_model",
    message: /ends after 0/,
  },
  {
    name: "a part that goes on",
    damage: (d) =>
      writeFileSync(join(d, PART), Buffer.concat([readFileSync(join(d, PART)), Buffer.from([1])])),
    code: "invalid_model",
    message: /longer than/,
  },
];

describe("a damaged model directory", () => {
  test.each(damages)("$name", async ({ damage, code, message }) => {
    await withDirectory(async (directory) => {
      const good = await convertOdd(directory);
      const bad = join(directory, "bad");
      cpSync(good, bad, { recursive: true });
      damage(bad);
      await expect(openModel(bad)).rejects.toMatchObject({
        name: "EdgeformerError",
        code,
        message: expect.stringMatching(message),
      });
      // The next good load works.
      const model = await openModel(good);
      expect((await model.complete([1, 2, 3], { maxTokens: 2, temperature: 0 })).ids.length).toBe(2);
    });
  });

  test("a directory that is not there", async () => {
    await expect(openModel("tests/no-such-model")).rejects.toMatchObject({ code: "invalid_model" });
  });
});
