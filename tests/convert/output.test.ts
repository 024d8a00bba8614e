import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import { writeAside } from "../../src/convert/write/output.ts";
import type { ManifestFile } from "../../src/format/manifest.ts";
import { cli } from "../cli/run.ts";
import { temporaryDirectory } from "./checkpoints.ts";

const VARIANTS = join(import.meta.dirname, "../fixtures/variants");
const SOURCES = ["gpt2-prefixed", "gpt2-bare", "gpt2-buffers", "neo-windows"].map((name) =>
  join(VARIANTS, name),
);
const SOURCE = SOURCES[0]!;
const models = join(temporaryDirectory(), "models");
const out = join(models, "out");

beforeEach(() => mkdirSync(models));
afterEach(() => rmSync(models, { recursive: true, force: true }));

/** Checks that a directory is one whole model, and gives its name. */
function nameOf(directory: string): string {
  const manifest = JSON.parse(readFileSync(join(directory, "model.json"), "utf8")) as ManifestFile;
  for (const { file, sha256 } of manifest.parts)
    expect(
      createHash("sha256")
        .update(readFileSync(join(directory, file)))
        .digest("hex"),
    ).toBe(sha256);
  const files = [...manifest.parts, manifest.tokenizer].flatMap((file) => file?.file ?? []);
  expect(readdirSync(directory).sort()).toEqual(["README.md", "model.json", ...files].sort());
  return manifest.name;
}

describe("--force replaces a model and nothing else", () => {
  test("the model's files go, and those of the new one come", async () => {
    await convert({ source: SOURCE, out, name: "old" });
    await convert({ source: SOURCES[3]!, out, name: "new", force: true });
    expect(nameOf(out)).toBe("new");
    expect(readdirSync(models)).toEqual(["out"]);
    // The directory is as open as any other that this process makes.
    mkdirSync(join(models, "other"));
    expect(statSync(out).mode).toBe(statSync(join(models, "other")).mode);
  });

  test.each<[string, string, () => void]>([
    ["a file of notes", "notes.txt", () => writeFileSync(join(out, "notes.txt"), "mine")],
    ["a hidden file", ".env", () => writeFileSync(join(out, ".env"), "mine")],
    ["a directory", "data", () => mkdirSync(join(out, "data/deep"), { recursive: true })],
    [
      "a README of somebody's own",
      "README.md",
      () => writeFileSync(join(out, "README.md"), "# out\n\nMine.\n"),
    ],
    [
      "a card that somebody has written on in",
      "README.md",
      () => {
        const card = join(out, "README.md");
        writeFileSync(card, readFileSync(card, "utf8").replace("Licence and limits", "I trained it. $&"));
      },
    ],
    ["a card with more at its end", "README.md", () => appendFileSync(join(out, "README.md"), "\nMine.\n")],
    [
      "weights that model.json does not name",
      "weights.77.bin",
      () => writeFileSync(join(out, "weights.77.bin"), "mine"),
    ],
    ["a link", "link.bin", () => symlinkSync(SOURCE, join(out, "link.bin"))],
    [
      "a link in place of the weights",
      "weights.00.bin",
      () => {
        cpSync(join(out, "weights.00.bin"), join(models, "elsewhere"));
        rmSync(join(out, "weights.00.bin"));
        symlinkSync(join(models, "elsewhere"), join(out, "weights.00.bin"));
      },
    ],
    [
      "a file that a forged model.json calls a part",
      "thesis.doc",
      () => {
        const manifest = JSON.parse(readFileSync(join(out, "model.json"), "utf8"));
        manifest.parts.push({ file: "thesis.doc", bytes: 4, sha256: "0".repeat(64) });
        writeFileSync(join(out, "model.json"), JSON.stringify(manifest));
        writeFileSync(join(out, "thesis.doc"), "mine");
      },
    ],
  ])("with %s there it refuses, naming it", async (_, name, add) => {
    await convert({ source: SOURCE, out, name: "old" });
    add();
    const before = readdirSync(out);
    const { code, stderr } = await cli(["convert", SOURCE, "--out", out, "--force"]);
    expect(code).toBe(2);
    expect(stderr).toContain(`holds files that are not the model's: ${name}; move them away`);
    expect(readdirSync(out)).toEqual(before);
    expect(readdirSync(models).filter((file) => file !== "elsewhere")).toEqual(["out"]);
  });

  test("many of them are counted", async () => {
    await convert({ source: SOURCE, out });
    for (let i = 0; i < 9; i++) writeFileSync(join(out, `note.${i}`), "mine");
    await expect(convert({ source: SOURCE, out, force: true })).rejects.toThrow(
      "note.0, note.1, note.2, note.3 and 5 more; move",
    );
  });

  test.each(["{}", "[]", "null", "nonsense", '{"format":"graph-model"}'])(
    "a directory whose model.json is %s is no model of ours",
    async (content) => {
      mkdirSync(out);
      writeFileSync(join(out, "model.json"), content);
      writeFileSync(join(out, "weights.00.bin"), "mine");
      await expect(convert({ source: SOURCE, out, force: true })).rejects.toThrow(
        "exists and is not a model directory",
      );
      expect(readdirSync(out)).toEqual(["model.json", "weights.00.bin"]);
    },
  );

  test("what is added while it converts is kept, and the old model with it", async () => {
    await convert({ source: SOURCE, out, name: "old" });
    let steps = 0;
    const onProgress = () => {
      if (++steps === 5) writeFileSync(join(out, "notes.txt"), "mine");
    };
    await expect(convert({ source: SOURCE, out, name: "new", force: true, onProgress })).rejects.toThrow(
      "notes.txt",
    );
    expect(readFileSync(join(out, "notes.txt"), "utf8")).toBe("mine");
    expect(JSON.parse(readFileSync(join(out, "model.json"), "utf8")).name).toBe("old");
    expect(readdirSync(models)).toEqual(["out"]);
  });

  test("a card of an early version, without a mark, is replaced", async () => {
    await convert({ source: SOURCE, out, name: "old" });
    const card = join(out, "README.md");
    writeFileSync(card, readFileSync(card, "utf8").replace(/\n<!--.*\n$/, ""));
    await convert({ source: SOURCE, out, name: "new", force: true });
    expect(nameOf(out)).toBe("new");
  });

  test("through a link it replaces what the link leads to", async () => {
    const real = join(models, "real");
    await convert({ source: SOURCE, out: real, name: "old" });
    symlinkSync(real, out);
    await convert({ source: SOURCE, out, name: "new", force: true });
    expect(lstatSync(out).isSymbolicLink()).toBe(true);
    expect(nameOf(real)).toBe("new");
    rmSync(real, { recursive: true });
    await expect(convert({ source: SOURCE, out })).rejects.toThrow("a link to nothing");
  });
});

describe("a place that cannot be put another directory in", () => {
  test("is refused before any work: where somebody stands", async () => {
    mkdirSync(out);
    const main = join(import.meta.dirname, "../../dist/src/cli/main.js");
    const run = (place: string) =>
      spawnSync(process.execPath, [main, "convert", SOURCE, "--out", place], { cwd: out, encoding: "utf8" });
    for (const place of [".", out, "../out/"])
      expect(run(place).stderr).toContain(`${place} is the directory that you are in`);
    expect(readdirSync(out)).toEqual([]);
    expect(run("model").status).toBe(0);
    expect(nameOf(join(out, "model"))).toBe("model");
  });
});

describe("several conversions to one place", () => {
  const race = (force: boolean) =>
    Promise.allSettled(SOURCES.map((source, i) => convert({ source, out, name: `model ${i}`, force }))).then(
      (results) => {
        const lost = results.filter((result) => result.status === "rejected");
        for (const { reason } of lost) expect(reason.code).toBe("invalid_option");
        for (const { reason } of lost)
          expect(reason.message).toMatch(/was written by somebody else while|holds a model already/);
        const won = results.flatMap((result) => (result.status === "fulfilled" ? [result.value.name] : []));
        expect(won).toContain(nameOf(out));
        expect(readdirSync(models)).toEqual(["out"]);
        return won;
      },
    );

  test("one of them wins, and the others say so", async () => {
    for (let i = 0; i < 5; i++) {
      expect(await race(false)).toHaveLength(1);
      rmSync(out, { recursive: true });
    }
  });

  test("with --force there is one whole model at the end", async () => {
    await convert({ source: SOURCE, out });
    for (let i = 0; i < 5; i++) await race(true);
  });

  test("one to another directory of the same parent is not in the way", async () => {
    const places = ["a", "a.b", "b"].map((name) => join(models, name));
    await Promise.all(places.map((place) => convert({ source: SOURCE, out: place })));
    expect(places.map(nameOf)).toEqual(["a", "a.b", "b"]);
  });
});

describe("what a killed conversion left", () => {
  const host = hostname().replace(/[^\w.-]/g, "_");
  // The largest id of a process that Linux gives is 2^22.
  const left = (pid: number) => join(models, `.out.${host}-${pid}-0123abcd.partial`);
  const leave = (directory: string, ...files: string[]) => {
    mkdirSync(directory);
    for (const file of files) writeFileSync(join(directory, file), "half");
  };

  test("is removed by the next one, unless its process runs or somebody has put a file there", async () => {
    leave(left(2 ** 22 + 1), "weights.00.bin", "tokenizer.bin");
    leave(left(2 ** 22 + 2), "weights.00.bin", "mine.txt");
    leave(left(process.pid), "weights.00.bin");
    leave(join(models, ".out.partial"), "mine.txt");
    leave(join(models, ".out.elsewhere-4194305-0123abcd.partial"), "weights.00.bin");
    await convert({ source: SOURCE, out });
    expect(nameOf(out)).toBe("out");
    expect(existsSync(left(2 ** 22 + 1))).toBe(false);
    expect(readdirSync(left(2 ** 22 + 2))).toEqual(["mine.txt"]);
    expect(readdirSync(left(process.pid))).toEqual(["weights.00.bin"]);
    expect(readdirSync(join(models, ".out.partial"))).toEqual(["mine.txt"]);
    expect(readdirSync(models)).toHaveLength(5);
  });

  test("a conversion that fails removes the directories that it made", async () => {
    const deep = join(models, "a/b/c");
    const failing = writeAside(deep, false, async () => {
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(readdirSync(models)).toEqual([]);
    mkdirSync(join(models, "a"));
    await expect(
      writeAside(deep, false, async () => {
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    expect(readdirSync(models)).toEqual(["a"]);
  });
});
