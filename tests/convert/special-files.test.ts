import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { cli } from "../cli/run.ts";
import { temporaryDirectory } from "./checkpoints.ts";

const GOOD = join(import.meta.dirname, "../fixtures/variants/gpt2-prefixed");
const temporary = temporaryDirectory();
const source = join(temporary, "source");
const out = join(temporary, "out");
const pipe = join(temporary, "pipe");
execFileSync("mkfifo", [pipe]);

afterEach(() => {
  for (const path of [source, out]) rmSync(path, { recursive: true, force: true });
});

async function refusal(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(args);
  expect(code).not.toBe(0);
  expect(stdout).toBe("");
  expect(existsSync(out)).toBe(false);
  return stderr.replace(/^note: .*\n/gm, "");
}

// Reading any of these would wait forever, or never end.
describe.each([
  ["a pipe", pipe],
  ["/dev/zero", "/dev/zero"],
  ["/dev/null", "/dev/null"],
])("%s", (_, path) => {
  test("is refused as a source, as weights, as an adapter", async () => {
    const sentence = `edgeformer: ${path}: neither a file nor a directory\n`;
    expect(await refusal("convert", path, "--out", out)).toBe(sentence);
    expect(await refusal("convert", GOOD, "--lora", path, "--out", out)).toBe(sentence);
  });

  test.each(["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "vocab.json"])(
    "is refused in the place of %s",
    async (name) => {
      cpSync(GOOD, source, { recursive: true });
      rmSync(join(source, name), { force: true });
      symlinkSync(path, join(source, name));
      expect(await refusal("convert", source, "--out", out)).toContain(
        `${name}: neither a file nor a directory`,
      );
    },
  );

  test("is refused as the text of --verify", async () => {
    expect(await refusal("convert", GOOD, "--out", out, "--verify", path)).toContain("neither a file nor");
  });

  test("is refused in a model directory", async () => {
    mkdirSync(source);
    symlinkSync(path, join(source, "model.json"));
    for (const command of ["inspect", "generate"])
      expect(
        await refusal(command, ...(command === "inspect" ? [source] : ["x", "--model", source])),
      ).toContain("model.json: not a file in");
  });
});

test.each(
  ["/proc/self", "/proc/self/mem", "/proc/self/environ", "/proc/kmsg"].filter((path) => existsSync(path)),
)("%s is no checkpoint", async (path) => {
  expect(await refusal("convert", path, "--out", out)).toMatch(/^edgeformer: .*\n$/);
});

describe("a Git LFS pointer", () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 548105171\n`;
  test.each(["model.safetensors", "config.json", "tokenizer.json", "tokenizer.model"])(
    "in the place of %s is named as what it is",
    async (name) => {
      cpSync(GOOD, source, { recursive: true });
      writeFileSync(join(source, name), pointer);
      expect(await refusal("convert", source, "--out", out)).toContain(
        `${name}: a Git LFS pointer and not the file`,
      );
    },
  );

  test("in an adapter, too", async () => {
    cpSync(join(GOOD, "../lora/adapter"), source, { recursive: true });
    writeFileSync(join(source, "adapter_model.safetensors"), pointer);
    expect(await refusal("convert", join(GOOD, "../lora"), "--lora", source, "--out", out)).toContain(
      "Git LFS pointer",
    );
  });
});

test("a configuration of more than a megabyte is refused", async () => {
  cpSync(GOOD, source, { recursive: true });
  writeFileSync(join(source, "config.json"), " ".repeat(2_000_000));
  expect(await refusal("convert", source, "--out", out)).toContain("config.json: it has 2000000 bytes");
});
