// What `edgeformer split` writes is a project whose commands work.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { workerName } from "../../src/convert/split/project.ts";
import { split } from "../../src/convert/split/split.ts";
import { bundledModel, openModel, packageRoot } from "../../src/node/index.ts";

let project: string;
let started: ChildProcess | undefined;

beforeAll(async () => {
  project = join(await mkdtemp(join(tmpdir(), "edgeformer-project-")), "fable");
  await split(bundledModel(), project, { isolates: 3, context: 128 });
  // What `npm install` would put there.
  await mkdir(join(project, "node_modules"));
  await symlink(packageRoot(), join(project, "node_modules/edgeformer"));
  for (const name of ["wrangler", "miniflare"])
    await symlink(join(packageRoot(), "node_modules", name), join(project, "node_modules", name));
});
afterAll(async () => {
  started?.kill();
  await rm(join(project, ".."), { recursive: true });
});

/** The address that `npm start` tells, once the model is there. */
function start(): Promise<string> {
  started = spawn(process.execPath, ["start.mjs"], { cwd: project, env: { ...process.env, PORT: "0" } });
  let output = "";
  return new Promise((resolve, reject) => {
    for (const stream of [started!.stdout!, started!.stderr!])
      stream.on("data", (chunk) => {
        output += chunk;
        const origin = /is at (\S+)\. Loading/.exec(output)?.[1];
        if (origin !== undefined && output.includes('{"status":"ok"')) resolve(origin);
      });
    started!.once("exit", () => reject(new Error(output)));
  });
}

test("start serves the chain on this machine", async () => {
  const origin = await start();
  const body = { prompt: "Once upon a time", max_tokens: 12, temperature: 0 };
  const response = await fetch(`${origin}/v1/completions`, { method: "POST", body: JSON.stringify(body) });
  const { choices } = (await response.json()) as { choices: { text: string }[] };
  const model = await openModel(bundledModel());
  expect(choices[0]!.text).toBe(
    (await model.complete("Once upon a time", { maxTokens: 12, temperature: 0 })).text,
  );
}, 120_000);

test("deploy takes the last stage first and the front last, each bound to the one before", async () => {
  const { scripts } = JSON.parse(await readFile(join(project, "package.json"), "utf8"));
  const folders = Array.from(
    scripts.deploy.matchAll(/wrangler deploy --config (\S+)\/wrangler\.toml/g),
    ([, folder]) => folder as string,
  );
  expect(folders).toEqual(["stage-3", "stage-2", "stage-1", "front"]);
  const deployed: string[] = [];
  for (const folder of folders) {
    const config = await readFile(join(project, folder, "wrangler.toml"), "utf8");
    for (const [, script] of config.matchAll(/^script_name = "(.+)"$/gm)) expect(deployed).toContain(script);
    deployed.push(/^name = "(.+)"$/m.exec(config)![1]!);
  }
  expect(deployed).toEqual(["fable-stage-3", "fable-stage-2", "fable-stage-1", "fable"]);
});

test.each([
  ["SmolLM2-135M Instruct", "smollm2-135m-instruct"],
  ["-_-", "model"],
  ["Ünïcode/модель 7", "n-code-7"],
])("a model called %j has the Worker %s", (model, name) => {
  expect(workerName(model)).toBe(name);
});
