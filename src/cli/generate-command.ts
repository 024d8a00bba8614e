import { Command } from "commander";
import type { GenerateOptions } from "../options.ts";
import type { GenerateChunk } from "../results.ts";
import type { CliIo } from "./io.ts";
import { loadForCommand, textOrTokens } from "./load.ts";
import { collect, parseNumber, parseTokens } from "./parse.ts";

const EXAMPLES = `
Examples:
  $ edgeformer generate "Once upon a time" --max-tokens 100
  $ edgeformer generate "Tom and his dog" --temperature 0.7 --top-p 0.9 --seed 7 --stop "The end"
  $ edgeformer generate --model models/my-gpt2 --tokens 464,2068,7586 --temperature 0 --json`;

interface GenerateFlags {
  model?: string;
  tokens?: number[];
  maxTokens: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  seed?: number;
  stop?: string[];
  json?: boolean;
}

/** The library's options, without the ones that were not given. */
function generateOptions(flags: GenerateFlags, signal: AbortSignal | undefined): GenerateOptions {
  const { maxTokens, temperature, topK, topP, minP, seed, stop } = flags;
  const all = { maxTokens, temperature, topK, topP, minP, seed, stop, signal };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

async function generate(
  prompt: string | undefined,
  flags: GenerateFlags,
  io: CliIo,
  signal: AbortSignal | undefined,
): Promise<void> {
  const input = textOrTokens(prompt, flags.tokens);
  const model = await loadForCommand(flags.model, io, signal);
  const ids: number[] = [];
  let text = "";
  let last: GenerateChunk | undefined;
  for await (const chunk of model.generate(input, generateOptions(flags, signal))) {
    text += chunk.text;
    ids.push(...chunk.ids);
    last = chunk;
    if (!flags.json)
      io.text.write(model.tokenizer ? chunk.text : `${chunk.ids.join(",")}${chunk.finishReason ? "" : ","}`);
  }
  if (!flags.json) io.text.write("\n");
  else
    io.stdout.write(
      `${JSON.stringify({
        text,
        ids,
        finish_reason: last?.finishReason ?? null,
        usage: {
          prompt_tokens: last?.usage?.promptTokens ?? 0,
          completion_tokens: last?.usage?.completionTokens ?? 0,
        },
      })}\n`,
    );
}

export function generateCommand(io: CliIo, signal?: AbortSignal): Command {
  return new Command("generate")
    .description("continue a text, streamed to standard output")
    .argument("[prompt]", "the text to continue")
    .option("--model <dir>", "a model directory (default: the bundled story model)")
    .option("--tokens <ids>", "the prompt as token ids, instead of a text", parseTokens)
    .option("--max-tokens <n>", "tokens to generate at most", parseNumber, 100)
    .option("--temperature <t>", "0 takes the likeliest token; up to 2 (default: 1)", parseNumber)
    .option("--top-k <k>", "draw from the k likeliest tokens; 0 from all (default: 0)", parseNumber)
    .option("--top-p <p>", "draw from the likeliest tokens that make up p (default: 1)", parseNumber)
    .option("--min-p <p>", "drop tokens less likely than p times the likeliest (default: 0)", parseNumber)
    .option("--seed <n>", "the same seed gives the same text (default: random)", parseNumber)
    .option("--stop <text>", "end before this text; may be given several times", collect)
    .option("--json", "print one JSON object at the end")
    .addHelpText("after", EXAMPLES)
    .action((prompt: string | undefined, flags: GenerateFlags) => generate(prompt, flags, io, signal));
}
