import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { packageRoot } from "../../node/index.ts";

/** The wrangler whose workerd the Workers are tested in. */
const WRANGLER = "4.86.0";

const COMMON = `main = "worker.js"
compatibility_date = "2026-04-01"
# A handler learns that its client has gone, and stops.
compatibility_flags = ["enable_request_signal"]
minify = true
`;

const ASSETS = `
# The stage's own weights. Nobody can download them: every request goes to the Worker first.
[assets]
directory = "./model"
binding = "ASSETS"
run_worker_first = true
html_handling = "none"
`;

const OBSERVABILITY = `
[observability]
enabled = true
`;

function binding(name: string, className: string, script: string): string {
  return `
[[durable_objects.bindings]]
name = "${name}"
class_name = "${className}"
script_name = "${script}"
`;
}

function frontConfig(name: string): string {
  return `# The Worker that has the address: ${name}.ACCOUNT.workers.dev. It hands every request to the first stage.
name = "${name}"
${COMMON}${binding("CHAIN", "Coordinator", `${name}-stage-1`)}${OBSERVABILITY}`;
}

function stageConfig(name: string, stage: number, stages: number): string {
  const className = stage === 1 ? "Coordinator" : "Stage";
  const settings =
    stage === 1
      ? `
# Settings of the endpoint are variables here; docs/api.md of edgeformer lists them. Keys are a secret:
# npx wrangler secret put API_KEYS --config stage-1/wrangler.toml
`
      : "\n";
  return `name = "${name}-stage-${stage}"
${COMMON}# It has no address of its own: only the Workers that are bound to its class can call it.
workers_dev = false
${ASSETS}
[[migrations]]
tag = "v1"
new_sqlite_classes = ["${className}"]
${stage < stages ? binding("NEXT", "Stage", `${name}-stage-${stage + 1}`) : ""}${settings}[vars]
STAGE = "${stage}"
${OBSERVABILITY}`;
}

const FRONT = ['import { createFront } from "edgeformer/chain";', "", "export default createFront();"];

function stageWorker(stage: number): string[] {
  const [className, create] = stage === 1 ? ["Coordinator", "createCoordinator"] : ["Stage", "createStage"];
  return [
    `import { ${create} } from "edgeformer/chain";`,
    'import engine from "edgeformer/engine.wasm";',
    'import { version } from "edgeformer/package.json";',
    "",
    `export const ${className} = ${create}({ engine, engineId: version });`,
    "",
    "export default { fetch: () => new Response(null, { status: 404 }) };",
  ];
}

const lines = (text: readonly string[]) => `${text.join("\n")}\n`;

/** A model's name as a Worker's: lower-case letters, digits and dashes, with room for "-stage-12". */
export function workerName(model: string): string {
  const name = model
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 50)
    .replace(/^-+|-+$/g, "");
  return name === "" ? "model" : name;
}

/** The Workers of a chain beside the stages' model directories, and the commands that deploy and start them. */
export async function writeProject(out: string, model: string, stages: number): Promise<void> {
  const name = workerName(model);
  const folders = ["front", ...Array.from({ length: stages }, (_, i) => `stage-${i + 1}`)];
  const { version } = createRequire(import.meta.url)("edgeformer/package.json") as { version: string };
  // A class has to be there before a Worker is bound to it, so the last stage comes first.
  const deploy = [...folders].reverse().map((folder) => `wrangler deploy --config ${folder}/wrangler.toml`);
  const project = {
    name: `${name}-chain`,
    private: true,
    type: "module",
    scripts: { start: "node start.mjs", deploy: deploy.join(" && ") },
    dependencies: { edgeformer: version },
    devDependencies: { wrangler: WRANGLER },
    allowScripts: { esbuild: true, workerd: true, sharp: false },
  };
  await mkdir(join(out, "front"));
  const files: [string, string][] = [
    ["package.json", `${JSON.stringify(project, null, 2)}\n`],
    ["front/wrangler.toml", frontConfig(name)],
    ["front/worker.js", lines(FRONT)],
    ...folders.slice(1).flatMap((folder, i): [string, string][] => [
      [`${folder}/wrangler.toml`, stageConfig(name, i + 1, stages)],
      [`${folder}/worker.js`, lines(stageWorker(i + 1))],
    ]),
  ];
  for (const [file, text] of files) await writeFile(join(out, file), text);
  await copyFile(join(packageRoot(), "src/convert/split/start.mjs"), join(out, "start.mjs"));
}
