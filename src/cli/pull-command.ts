import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { writeAside } from "../convert/write/output.ts";
import { given } from "../given.ts";
import { CATALOGUE, type CatalogueModel, DEFAULT_MODEL, modelByName } from "../pull/catalogue.ts";
import { cacheFolder } from "../pull/model-cache.ts";
import type { CliIo } from "./io.ts";
import { formatBytes } from "./progress.ts";
import { pullForCommand } from "./resolve-model.ts";

const EXAMPLES = `
Examples:
  $ edgeformer pull
  $ edgeformer pull --list
  $ edgeformer pull SmolLM2-135M-Instruct --out model
  $ edgeformer chat --model "$(edgeformer pull)"

The model's directory is printed to standard output. A download that broke off
goes on where it stopped. A model that is there already is checked.

Environment: EDGEFORMER_HOME, where models are kept; HF_TOKEN and HF_ENDPOINT,
as for Hugging Face's own libraries.`;

interface PullFlags {
  list?: boolean;
  offline?: boolean;
  out?: string;
}

function describe(model: CatalogueModel): string {
  const { name, parameters, bytes, license, isolateContext, note, hub } = model;
  const size = bytes === undefined ? "" : `, a download of ${formatBytes(bytes)}`;
  const isolate =
    isolateContext === undefined
      ? "more than one isolate holds"
      : `one isolate holds it with a context of ${isolateContext} tokens`;
  return [
    name,
    `  ${note}`,
    `  ${(parameters / 1e6).toFixed(0)} M parameters${size}; ${isolate}`,
    `  ${license}; ${hub.id} on the hub`,
    "",
  ].join("\n");
}

/** Copies a model directory; what is at `out` is replaced only if it is a model directory, too. */
async function copyModel(directory: string, out: string): Promise<void> {
  await writeAside(out, true, async (aside) => {
    for (const file of await readdir(directory)) await cp(join(directory, file), join(aside, file));
  });
}

async function runPull(
  name: string,
  { list = false, offline = false, out }: PullFlags,
  io: CliIo,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (list) {
    io.stdout.write(`${CATALOGUE.map(describe).join("\n")}\nKept in ${cacheFolder()}\n`);
    return;
  }
  const directory = await pullForCommand(modelByName(name), io, {
    offline,
    verify: true,
    ...given({ signal }),
  });
  if (out !== undefined) await copyModel(directory, out);
  io.stdout.write(`${out ?? directory}\n`);
}

export function pullCommand(io: CliIo, signal?: AbortSignal): Command {
  return new Command("pull")
    .description("fetch a model that is known by name, once, into the user's cache")
    .argument("[name]", "a name of the list", DEFAULT_MODEL)
    .option("--list", "print the models that have names")
    .option("--offline", "ask nobody: the model must be in the cache")
    .option("--out <dir>", "also write a copy there, for a deployment")
    .addHelpText("after", EXAMPLES)
    .action((name: string, flags: PullFlags) => runPull(name, flags, io, signal));
}
