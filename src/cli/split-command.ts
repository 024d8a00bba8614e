import { Command, InvalidArgumentError } from "commander";
import { chainMemory } from "../chain/plan.ts";
import { split } from "../convert/split/split.ts";
import { ISOLATE_WASM_BYTES } from "../engine/memory.ts";
import { drawChain } from "./chain-drawing.ts";
import { describeChain } from "./inspect.ts";
import type { CliIo } from "./io.ts";
import { parseNumber } from "./parse.ts";
import { oneLine } from "./terminal.ts";

const EXAMPLES = `
Examples:
  $ edgeformer split models/smollm2 --isolates auto --out my-chain
  $ edgeformer split models/qwen3 --isolates 5 --context 1024 --out my-chain`;

interface SplitFlags {
  out: string;
  isolates: number | "auto";
  context?: number;
  sequences?: number;
}

function parseIsolates(text: string): number | "auto" {
  if (text === "auto") return text;
  const count = Number(text);
  if (!Number.isInteger(count)) throw new InvalidArgumentError("It must be a number or auto.");
  return count;
}

async function runSplit(directory: string, flags: SplitFlags, io: CliIo): Promise<void> {
  const { out, isolates, context, sequences } = flags;
  const manifest = await split(directory, out, {
    ...(isolates === "auto" ? {} : { isolates }),
    ...(context === undefined ? {} : { context }),
    ...(sequences === undefined ? {} : { maxSequences: sequences }),
  });
  const plan = manifest.chain!;
  io.stderr.write(`${oneLine(manifest.name)} in ${oneLine(out)}: ${describeChain(plan)}\n`);
  for (const [label, value] of drawChain(chainMemory(manifest, plan), ISOLATE_WASM_BYTES))
    io.stderr.write(`${label}  ${value}\n`);
}

export function splitCommand(io: CliIo): Command {
  return new Command("split")
    .description("share a model out over several isolates: a Worker with a Durable Object for each stage")
    .argument("<dir>", "a model directory")
    .requiredOption("--out <dir>", "the directory to write; it must not exist or be empty")
    .option(
      "--isolates <number>",
      "how many, or auto: as few as can hold the model",
      parseIsolates,
      "auto" as const,
    )
    .option(
      "--context <number>",
      "tokens of the longest text (default: the model's own, 2048 at most)",
      parseNumber,
    )
    .option("--sequences <number>", "texts that can be generated at once (default: 8)", parseNumber)
    .addHelpText("after", EXAMPLES)
    .action((directory: string, flags: SplitFlags) => runSplit(directory, flags, io));
}
