import { execFile } from "node:child_process";
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { bundledModel, openModel } from "../../src/node/index.ts";
import { askWorkerd, EXECUTABLES } from "./runtimes.ts";

const project = inject("project");
const run = promisify(execFile);

const PROMPT = "Once upon a time";
let expected: string;

beforeAll(async () => {
  await cp(new URL("programs/endpoint.mjs", import.meta.url), join(project, "endpoint.mjs"));
  const model = await openModel(bundledModel());
  expected = (await model.complete(PROMPT, { maxTokens: 30, seed: 5 })).text;
  model.dispose();
});

describe("the package's other doors", () => {
  test("edgeformer/worker serves completions", async () => {
    const answer = await askWorkerd(project, "endpoint.mjs", "/v1/completions", {
      method: "POST",
      body: JSON.stringify({ prompt: PROMPT, max_tokens: 30, seed: 5 }),
    });
    expect(answer).toMatchObject({
      object: "text_completion",
      model: "fable",
      choices: [{ text: expected }],
    });
  });

  test.each(["node20", "node22", "node24"] as const)("the command works with %s", async (version) => {
    const { stdout } = await run(
      EXECUTABLES[version],
      [
        join(project, "node_modules/.bin/edgeformer"),
        ...["generate", PROMPT, "--max-tokens", "30", "--seed", "5", "--json"],
      ],
      { cwd: project },
    );
    expect(JSON.parse(stdout)).toMatchObject({ text: expected });
  });

  test("the reference has every export, each with its description", async () => {
    const root = new URL("../../", import.meta.url);
    await run("npm", ["run", "reference"], { cwd: root });
    for (const [page, name] of [
      ["edgeformer", "loadModel"],
      ["edgeformer_node", "openModel"],
      ["edgeformer_worker", "createApp"],
    ] as const) {
      const html = await readFile(new URL(`build/reference/modules/${page}.html`, root), "utf8");
      expect(html).toContain(`${name}.html`);
    }
  });
});
