import { basename } from "node:path";
import { Command } from "commander";
import { convert } from "../convert/convert.ts";
import type { ConvertOptions } from "../convert/convert-options.ts";
import { readWhole } from "../convert/inputs/bytes.ts";
import type { Manifest } from "../format/manifest.ts";
import { given } from "../given.ts";
import { describeFidelity, describeIsolate, isolateMemory } from "./inspect.ts";
import type { CliIo } from "./io.ts";
import { parseBytes, parseNumber } from "./parse.ts";
import { formatBytes, ProgressBar } from "./progress.ts";
import { oneLine } from "./terminal.ts";

const EXAMPLES = `
Examples:
  $ edgeformer convert distilbert/distilgpt2 --out models/distilgpt2
  $ edgeformer convert roneneldan/TinyStories-33M --out models/tinystories --verify
  $ edgeformer convert HuggingFaceTB/SmolLM2-135M-Instruct --bits 4 --out models/smollm2
  $ edgeformer convert openai-community/gpt2 --fit 100MB --out models/gpt2
  $ edgeformer convert me/private-gpt2 --revision v2 --out models/mine     (with HF_TOKEN set)
  $ edgeformer convert ./my-gpt2 --lora ./my-adapter --out models/my-gpt2
  $ edgeformer convert ./my-gpt2/pytorch_model.bin --out models/my-gpt2
  $ edgeformer convert ./smollm2-Q4_1.gguf --out models/smollm2
  $ edgeformer convert bartowski/SmolLM2-135M-Instruct-GGUF:Q4_0 --out models/smollm2

Supported: GPT-2 (DistilGPT-2, fine-tunes), GPT-Neo, Llama (SmolLM, TinyLlama),
Mistral, Qwen2 and Qwen3, as safetensors or pytorch_model.bin, whole or in
shards, in float32, float16 or bfloat16; GPT-2, Llama, Qwen2 and Qwen3 as GGUF,
one file or a set, also the only one in a ZIP archive or a Python wheel.

Environment: HF_TOKEN, HF_ENDPOINT, HF_HOME and HF_HUB_CACHE, as for
Hugging Face's own libraries.`;

/** Of a text that a model is measured on, of which a megabyte takes hours. */
const MAX_TEXT_BYTES = 64 * 1024 * 1024;

interface ConvertFlags {
  out: string;
  file?: string;
  name?: string;
  force?: boolean;
  lora?: string;
  bits?: number;
  fit?: number;
  context?: number;
  calibrate?: string;
  verify?: boolean | string;
  revision?: string;
  token?: string;
}

async function readText(path: string): Promise<{ name: string; text: string }> {
  const name = basename(path);
  return { name, text: new TextDecoder().decode(await readWhole(path, name, MAX_TEXT_BYTES)) };
}

async function verifyText(verify: boolean | string | undefined): Promise<ConvertOptions["verify"]> {
  if (typeof verify !== "string") return verify ? true : undefined;
  return readText(verify);
}

function summary(manifest: Manifest, out: string): string {
  const bytes = manifest.parts.reduce((sum, part) => sum + part.bytes, 0);
  const fidelity = manifest.fidelity ? `\n${describeFidelity(manifest.fidelity)}` : "";
  const isolate = describeIsolate(isolateMemory(manifest), manifest);
  return `${oneLine(manifest.name)}: ${formatBytes(bytes)} in ${out}${fidelity}\n${isolate}\n`;
}

async function runConvert(
  source: string,
  flags: ConvertFlags,
  io: CliIo,
  signal: AbortSignal | undefined,
): Promise<void> {
  const bar = new ProgressBar(io.progress);
  const { out, file, name, force, lora, fit, context, revision } = flags;
  try {
    const manifest = await convert({
      source,
      out,
      ...given({ file, name, force, lora, fit, context, revision, signal }),
      ...given({
        bits: flags.bits as ConvertOptions["bits"],
        calibrate: flags.calibrate === undefined ? undefined : await readText(flags.calibrate),
        verify: await verifyText(flags.verify),
        token: flags.token ?? process.env.HF_TOKEN,
        hubUrl: process.env.HF_ENDPOINT,
      }),
      onProgress: (step, done, total) => bar.update(step, done, total),
      onWarning: (message) => {
        bar.clear();
        io.stderr.write(`note: ${oneLine(message)}\n`);
      },
    });
    bar.clear();
    io.stderr.write(summary(manifest, out));
  } finally {
    bar.clear();
  }
}

export function convertCommand(io: CliIo, signal?: AbortSignal): Command {
  return new Command("convert")
    .description("turn a Hugging Face checkpoint or a GGUF file into a model directory")
    .argument(
      "<source>",
      "an id on the hub, a directory with config.json and the weights, the weights file in it, or a GGUF file",
    )
    .requiredOption("--out <dir>", "the model directory to write")
    .option("--file <name>", "which file of the directory or the repository to convert")
    .option("--name <name>", "the model's name (default: the last part of --out)")
    .option("--force", "replace the model that is at --out")
    .option("--lora <adapter>", "a LoRA adapter in peft's layout to merge: a directory or an id")
    .option("--bits <number>", "8, or 4 for the matrices of blocks (default: 8)", Number)
    .option(
      "--fit <size>",
      "in place of --bits: linear memory that the model may take, such as 100MB; the matrices that matter least get four bits until it fits",
      parseBytes,
    )
    .option(
      "--context <tokens>",
      "with --fit, the context to plan for (default: the model's, at most 1024)",
      parseNumber,
    )
    .option(
      "--calibrate <file>",
      "with --bits 4 or --fit, a text like those to come (default: the model writes one)",
    )
    .option("--verify [file]", "measure the result against float32 on a text (default: a bundled fairy tale)")
    .option("--revision <name>", "the hub's branch, tag or commit (default: main)")
    .option("--token <token>", "the hub's access token (default: HF_TOKEN)")
    .addHelpText("after", EXAMPLES)
    .action((source: string, flags: ConvertFlags) => runConvert(source, flags, io, signal));
}
