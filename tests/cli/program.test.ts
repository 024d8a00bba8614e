import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { cli } from "./run.ts";

const ODD = join(import.meta.dirname, "../fixtures/odd-gpt2");
const temporary = mkdtempSync(join(tmpdir(), "edgeformer-cli-"));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

describe("usage", () => {
  test.each([
    ["no command", []],
    ["an unknown command", ["transmogrify"]],
    ["an unknown option", ["generate", "x", "--loudly"]],
    ["a missing option", ["convert", ODD]],
    ["a missing argument", ["generate"]],
    ["a text and tokens", ["generate", "x", "--tokens", "1"]],
    ["a number that is none", ["generate", "x", "--temperature", "hot"]],
    ["a number out of range", ["generate", "x", "--temperature", "3"]],
    ["tokens that are none", ["score", "--tokens", "1,two"]],
    ["a token that the model does not have", ["score", "--tokens", "1,50257"]],
    ["no token ids", ["generate", "--tokens", ""]],
    ["two constraints", ["generate", "x", "--regex", "a", "--choice", "b"]],
    ["a regular expression that is none", ["generate", "x", "--regex", "("]],
    ["a schema that is no JSON", ["generate", "x", "--schema", join(import.meta.dirname, "run.ts")]],
  ])("%s ends with 2 and says so on stderr only", async (_, args) => {
    const { code, stdout, stderr } = await cli(args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).not.toBe("");
  });

  test.each(["convert", "inspect", "generate", "score", "split"])(
    "%s --help gives examples",
    async (command) => {
      const { code, stdout, stderr } = await cli([command, "--help"]);
      expect(code).toBe(0);
      expect(stdout).toContain(`$ edgeformer ${command}`);
      expect(stderr).toBe("");
    },
  );

  test("--version is the package's", async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
    expect(await cli(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });
});

describe("generate", () => {
  test("streams the same text that --json reports", async () => {
    const args = ["generate", "Once upon a time", "--max-tokens", "12", "--seed", "5"];
    const plain = await cli(args);
    const json = await cli([...args, "--json"]);
    expect(plain.code).toBe(0);
    const report = JSON.parse(json.stdout);
    expect(plain.stdout).toBe(`${report.text}\n`);
    expect(report.ids).toHaveLength(12);
    expect(report.finish_reason).toBe("length");
    expect(report.usage).toEqual({ prompt_tokens: 4, completion_tokens: 12 });
  });

  test("takes a prompt as token ids, and a stop text", async () => {
    const tokens = await cli(["generate", "--tokens", "7454,2402,257,640", "--temperature", "0", "--json"]);
    const text = await cli(["generate", "Once upon a time", "--temperature", "0", "--json"]);
    expect(tokens.stdout).toBe(text.stdout);
    const stopped = await cli([
      "generate",
      "Once upon a time",
      "--temperature",
      "0",
      "--stop",
      ",",
      "--json",
    ]);
    const report = JSON.parse(stopped.stdout);
    expect(report.finish_reason).toBe("stop");
    expect(report.text).toBe(JSON.parse(text.stdout).text.split(",")[0]);
  });

  test("holds the text to a choice or to a regular expression", async () => {
    const args = ["generate", "The dog was", "--seed", "3", "--temperature", "2"];
    const chosen = await cli([...args, "--choice", " happy", "--choice", " sad"]);
    expect(chosen.stdout).toMatch(/^ (happy|sad)\n$/);
    const matched = await cli([...args, "--regex", "( [a-z]{2,5}){3}\\.", "--json"]);
    const { text, finish_reason } = JSON.parse(matched.stdout);
    expect(text).toMatch(/^( [a-z]{2,5}){3}\.$/);
    expect(finish_reason).toBe("stop");
  });

  test("holds the text to a schema", async () => {
    const schema = join(temporary, "schema.json");
    const properties = { name: { enum: ["Tom", "Ann"] }, age: { type: "integer", minimum: 1, maximum: 9 } };
    writeFileSync(
      schema,
      JSON.stringify({ type: "object", properties, required: ["name", "age"], additionalProperties: false }),
    );
    const { stdout } = await cli(["generate", "Tom is 7.", "--schema", schema, "--seed", "1"]);
    expect(JSON.parse(stdout)).toEqual({
      name: expect.stringMatching(/^(Tom|Ann)$/),
      age: expect.toSatisfy((age: number) => age >= 1 && age <= 9),
    });
    writeFileSync(schema, JSON.stringify({ minimum: "low" }));
    const refused = await cli(["generate", "x", "--schema", schema]);
    rmSync(schema);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("/minimum") });
  });

  test("cannot read a schema that is not there", async () => {
    const { code, stderr } = await cli(["generate", "x", "--schema", join(temporary, "none.json")]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("none.json")]);
  });

  test("ends with 1 when interrupted", async () => {
    const { code, stderr } = await cli(["generate", "Tom"], AbortSignal.abort());
    expect(code).toBe(1);
    expect(stderr).toMatch(/abort/);
  });
});

describe("score", () => {
  test("reports ids, log-probabilities and perplexity", async () => {
    const { code, stdout } = await cli(["score", "The cat sat.", "--json", "--top-logprobs", "3"]);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(Object.keys(report)).toEqual(["ids", "token_logprobs", "top_logprobs", "perplexity"]);
    expect(report.ids).toEqual([464, 3797, 3332, 13]);
    expect(report.token_logprobs[0]).toBeNull();
    expect(report.top_logprobs[1]).toHaveLength(3);
    const mean = (report.token_logprobs[1] + report.token_logprobs[2] + report.token_logprobs[3]) / 3;
    expect(report.perplexity).toBeCloseTo(Math.exp(-mean), 6);
  });

  test("prints a line per token for people", async () => {
    const { stdout } = await cli(["score", "The cat"]);
    expect(stdout).toMatch(/^-\t464 "The"\n-\d+\.\d{4}\t3797 " cat"\nperplexity \d+\.\d{4}\n$/);
  });
});

describe("convert and inspect", () => {
  const out = join(temporary, "odd");

  test("converts a directory into a model that runs", async () => {
    const { code, stdout, stderr } = await cli(["convert", ODD, "--out", out]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(stderr).toContain("token ids");
    expect(readdirSync(temporary)).toEqual(["odd"]);
    const generated = await cli(["generate", "--model", out, "--tokens", "1,2", "--max-tokens", "3"]);
    expect(generated.stdout).toMatch(/^\d+,\d+,\d+\n$/);
  });

  test("inspect says what it is and that it fits an isolate", async () => {
    const { code, stdout } = await cli(["inspect", out]);
    expect(code).toBe(0);
    for (const fact of ["5 heads of 16", "token ids", "37 tokens", "fits a 128 MB isolate"])
      expect(stdout).toContain(fact);
    const report = JSON.parse((await cli(["inspect", out, "--json"])).stdout);
    expect(report.parameters).toBe(316_880);
    expect(report.isolateContext).toBe(37);
    expect(report.memory.at(-1).context).toBe(37);
  });

  test("keeps what is at --out unless --force is given, and never replaces what is no model", async () => {
    const before = readFileSync(join(out, "model.json"), "utf8");
    expect((await cli(["convert", ODD, "--out", out])).code).toBe(2);
    expect((await cli(["convert", ODD, "--out", out, "--force", "--name", "renamed"])).code).toBe(0);
    expect(JSON.parse(before).name).toBe("odd");
    expect(JSON.parse(readFileSync(join(out, "model.json"), "utf8")).name).toBe("renamed");
    const precious = join(temporary, "precious");
    mkdirSync(precious);
    writeFileSync(join(precious, "thesis.txt"), "years of work");
    expect((await cli(["convert", ODD, "--out", precious, "--force"])).code).toBe(2);
    expect(readdirSync(precious)).toEqual(["thesis.txt"]);
    expect((await cli(["convert", ODD, "--out", join(precious, "thesis.txt")])).code).toBe(2);
    rmSync(precious, { recursive: true });
    expect(readdirSync(temporary)).toEqual(["odd"]);
  });

  test("leaves nothing behind when interrupted", async () => {
    const target = join(temporary, "interrupted");
    const { code, stderr } = await cli(["convert", ODD, "--out", target], AbortSignal.abort());
    expect(code).toBe(1);
    expect(stderr).toContain("interrupted");
    expect(existsSync(target)).toBe(false);
    expect(readdirSync(temporary)).toEqual(["odd"]);
  });
});

test("a model directory that is not there ends with 1", async () => {
  for (const command of ["inspect", "generate", "score"]) {
    const where = join(temporary, "nothing");
    const args = command === "inspect" ? [command, where] : [command, "Tom", "--model", where];
    const { code, stdout, stderr } = await cli(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("model.json");
  }
});
