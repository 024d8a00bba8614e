import { Command } from "commander";
import { given } from "../given.ts";
import type { GenerateChunk } from "../results.ts";
import { addConstraintFlags, type ConstraintFlags, constraintOf } from "./constraint-flags.ts";
import type { CliIo } from "./io.ts";
import { loadForCommand, textOrTokens } from "./load.ts";
import { collect, parseTokens } from "./parse.ts";
import { printAnswer } from "./print-answer.ts";
import { addSamplingFlags, type SamplingFlags, samplingOptions } from "./sampling-flags.ts";

const EXAMPLES = `
Examples:
  $ edgeformer generate "Once upon a time" --max-tokens 100
  $ edgeformer generate "Tom and his dog" --temperature 0.7 --top-p 0.9 --seed 7 --stop "The end"
  $ edgeformer generate "The dog was" --choice " happy" --choice " sad"
  $ edgeformer generate "Her name:" --regex "[A-Z][a-z]{1,12}" --temperature 0.8
  $ edgeformer generate --model models/my-gpt2 --tokens 464,2068,7586 --temperature 0 --json`;

interface GenerateFlags extends SamplingFlags, ConstraintFlags {
  model?: string;
  tokens?: number[];
  json?: boolean;
}

/** The ids of a model without a tokenizer are its text: with commas between them. */
async function* spelled(chunks: AsyncIterable<GenerateChunk>): AsyncGenerator<GenerateChunk> {
  let begun = false;
  for await (const chunk of chunks) {
    yield { ...chunk, text: chunk.ids.map((id) => `${begun ? "," : ""}${id}`).join("") };
    begun ||= chunk.ids.length > 0;
  }
}

async function generate(
  prompt: string | undefined,
  flags: GenerateFlags,
  io: CliIo,
  signal: AbortSignal | undefined,
): Promise<void> {
  const input = textOrTokens(prompt, flags.tokens);
  const constraint = await constraintOf(flags);
  const model = await loadForCommand(flags.model, io, signal);
  const chunks = model.generate(input, { ...samplingOptions(flags), ...given({ constraint, signal }) });
  const json = flags.json ?? false;
  await printAnswer(model.tokenizer || json ? chunks : spelled(chunks), io, json);
}

export function generateCommand(io: CliIo, signal?: AbortSignal): Command {
  const command = new Command("generate")
    .description("continue a text, streamed to standard output")
    .argument("[prompt]", "the text to continue")
    .option(
      "--model <model>",
      "a model directory or a name that `pull` knows (default: the bundled story model)",
    )
    .option("--tokens <ids>", "the prompt as token ids, instead of a text", parseTokens);
  return addConstraintFlags(addSamplingFlags(command, 100))
    .option("--stop <text>", "end before this text; may be given several times", collect)
    .option("--json", "print one JSON object at the end")
    .addHelpText("after", EXAMPLES)
    .action((prompt: string | undefined, flags: GenerateFlags) => generate(prompt, flags, io, signal));
}
