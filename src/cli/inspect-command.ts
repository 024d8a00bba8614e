import { Command } from "commander";
import { given } from "../given.ts";
import { loadManifest } from "../loading/load.ts";
import { bundledModel, directorySource } from "../node/index.ts";
import { describeModel, inspectModel } from "./inspect.ts";
import type { CliIo } from "./io.ts";
import { resolveModel } from "./resolve-model.ts";

const EXAMPLES = `
Examples:
  $ edgeformer inspect models/fable
  $ edgeformer inspect models/my-gpt2 --json`;

export function inspectCommand(io: CliIo, signal?: AbortSignal): Command {
  return new Command("inspect")
    .description("what a model is, how faithful, and what memory it needs")
    .argument("[model]", "a model directory or a name that `pull` knows (default: the bundled story model)")
    .option("--json", "print one JSON object")
    .addHelpText("after", EXAMPLES)
    .action(async (model: string | undefined, flags: { json?: boolean }) => {
      const directory =
        model === undefined ? bundledModel() : await resolveModel(model, io, given({ signal }));
      const inspection = inspectModel(await loadManifest(directorySource(directory)));
      io.stdout.write(flags.json ? `${JSON.stringify(inspection)}\n` : describeModel(inspection));
    });
}
