import { Command } from "commander";
import { convert } from "../convert/convert.ts";
import type { CliIo } from "./io.ts";
import { formatBytes, ProgressBar } from "./progress.ts";

const EXAMPLES = `
Examples:
  $ edgeformer convert ./my-gpt2 --out models/my-gpt2
  $ edgeformer convert ./my-gpt2/model.safetensors --out models/my-gpt2`;

interface ConvertFlags {
  out: string;
  name?: string;
  force?: boolean;
}

export function convertCommand(io: CliIo, signal?: AbortSignal): Command {
  return new Command("convert")
    .description("turn a Hugging Face checkpoint into a model directory")
    .argument("<source>", "a directory with config.json and the weights, or the weights file in it")
    .requiredOption("--out <dir>", "the model directory to write")
    .option("--name <name>", "the model's name (default: the last part of --out)")
    .option("--force", "replace the model that is at --out")
    .addHelpText("after", EXAMPLES)
    .action(async (source: string, flags: ConvertFlags) => {
      const bar = new ProgressBar(io.stderr);
      try {
        const manifest = await convert({
          ...flags,
          source,
          ...(signal === undefined ? {} : { signal }),
          onProgress: (step, done, total) => bar.update(step, done, total),
          onWarning: (message) => {
            bar.clear();
            io.stderr.write(`note: ${message}\n`);
          },
        });
        bar.clear();
        const bytes = manifest.parts.reduce((sum, part) => sum + part.bytes, 0);
        io.stderr.write(`${manifest.name}: ${formatBytes(bytes)} in ${flags.out}\n`);
      } finally {
        bar.clear();
      }
    });
}
