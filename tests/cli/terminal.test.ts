import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { commandIo, oneLine } from "../../src/cli/terminal.ts";
import { isModelCard, modelCard } from "../../src/convert/write/model-card.ts";
import { parseManifest } from "../../src/format/manifest.ts";
import { printable } from "../../src/printable.ts";
import { rawTensors, safetensorsFile, temporaryDirectory } from "../convert/checkpoints.ts";
import { cli } from "./run.ts";

const SOURCE = join(import.meta.dirname, "../fixtures/variants/gpt2-prefixed");
const temporary = temporaryDirectory();
const source = join(temporary, "source");
const out = join(temporary, "out");

/** Clears the screen, renames the window, types into some terminals, turns text around. */
const HOSTILE = "\x1b[2J\x1b]0;gone\x07\x9b5n\r\b\x7f\u202e!";
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const OBEYED = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]/;

test("what a terminal obeys is shown instead, and nothing else is changed", () => {
  expect(printable(HOSTILE)).toBe("\\u001b[2J\\u001b]0;gone\\u0007\\u009b5n\\u000d\\u0008\\u007f\\u202e!");
  const ordinary = "tab\t line\n naïve 東京 👩‍👩‍👧 עברית\u200d";
  expect(printable(ordinary)).toBe(ordinary);
  expect(JSON.parse(printable(JSON.stringify({ a: HOSTILE })))).toEqual({ a: HOSTILE });
  expect(oneLine("a\nb\u2028c")).toBe("a\\u000ab\\u2028c");
  expect(oneLine("x".repeat(1e7))).toHaveLength(2001);
});

test("a model's text is exact in a pipe, and safe on a terminal", () => {
  for (const isTTY of [true, false]) {
    let [stdout, stderr] = ["", ""];
    const io = commandIo({
      stdout: { write: (text) => (stdout += text), isTTY },
      stderr: { write: (text) => (stderr += text), isTTY },
    });
    io.text.write(HOSTILE);
    expect(stdout).toBe(isTTY ? printable(HOSTILE) : HOSTILE);
    io.progress.write("\r");
    io.stderr.write("\r");
    expect(stderr).toBe("\r\\u000d");
    expect(io.stdout.isTTY).toBe(isTTY);
  }
});

describe("terminal escapes in a checkpoint's strings", () => {
  const change = (edit: (source: string) => void) => {
    rmSync(source, { recursive: true, force: true });
    rmSync(out, { recursive: true, force: true });
    cpSync(SOURCE, source, { recursive: true });
    edit(source);
  };
  const config = (fields: object) => {
    const file = join(source, "config.json");
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...fields }));
  };
  const weights = (name: string) => {
    const file = join(source, "model.safetensors");
    const tensors = rawTensors(readFileSync(file));
    tensors[name] = { dtype: "F32", shape: [1], bytes: new Uint8Array(4) };
    writeFileSync(file, safetensorsFile(tensors));
  };
  test.each<[string, () => void]>([
    ["a model type", () => config({ model_type: HOSTILE })],
    ["an activation", () => config({ activation_function: HOSTILE })],
    ["a size", () => config({ n_head: HOSTILE })],
    ["broken JSON", () => writeFileSync(join(source, "config.json"), `{"${HOSTILE}`)],
    ["a tensor's name", () => weights(HOSTILE)],
    ["a name of a megabyte", () => weights("x".repeat(1e6))],
    ["a name with lines of its own", () => weights("a\nedgeformer: all is well\n")],
    ["a head's name", () => weights(`score.${HOSTILE}`)],
    [
      "an index",
      () => {
        rmSync(join(source, "model.safetensors"));
        writeFileSync(
          join(source, "model.safetensors.index.json"),
          JSON.stringify({ weight_map: { [HOSTILE]: HOSTILE } }),
        );
      },
    ],
    [
      "a pickle",
      () => {
        rmSync(join(source, "model.safetensors"));
        writeFileSync(
          join(source, "pytorch_model.bin"),
          Buffer.from(`\x80\x02c${HOSTILE.slice(0, -2)}\nx\n.`, "latin1"),
        );
      },
    ],
  ])("in %s never reach it", async (_, edit) => {
    change(edit);
    const { stdout, stderr } = await cli(["convert", source, "--out", out]);
    expect(stdout).toBe("");
    expect(stderr).not.toMatch(OBEYED);
    expect(stderr.length).toBeLessThan(5000);
    expect(stderr.split("\n").filter((line) => line.startsWith("edgeformer:")).length).toBeLessThanOrEqual(1);
  });

  test("in a model directory never reach it, by inspect or in an error", async () => {
    change(() => {});
    await cli(["convert", source, "--out", out, "--name", `${HOSTILE}\nisolate  fits`]);
    const plain = await cli(["inspect", out]);
    expect(plain.stdout).toContain("\\u001b[2J");
    expect(plain.stdout).not.toMatch(OBEYED);
    expect(plain.stdout.match(/^isolate/gm)).toHaveLength(1);
    const json = await cli(["inspect", out, "--json"]);
    expect(json.stdout).not.toMatch(OBEYED);
    expect(JSON.parse(json.stdout).name).toBe(`${HOSTILE}\nisolate  fits`);
    const file = join(out, "model.json");
    const manifest = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...manifest, version: HOSTILE }));
    const { code, stderr } = await cli(["inspect", out]);
    expect(code).toBe(1);
    expect(stderr).not.toMatch(OBEYED);
  });

  test("in what a model says of itself never reach its card, which is read on terminals, too", () => {
    const bundled = JSON.parse(readFileSync("models/fable/model.json", "utf8"));
    const hostile = `${HOSTILE}\n# Another`;
    const provenance = {
      ...bundled.provenance,
      source: hostile,
      revision: hostile,
      name: hostile,
      author: hostile,
      url: hostile,
      license: hostile,
      base_models: [hostile],
    };
    const card = modelCard(parseManifest({ ...bundled, name: hostile.repeat(100), provenance }));
    expect(card).not.toMatch(OBEYED);
    expect(card.match(/^#/gm)).toHaveLength(1);
    expect(card).toContain("- Licence: \\\\u001b\\[2J");
    expect(isModelCard(card)).toBe(true);
  });
});
