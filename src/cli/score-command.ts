import { Command } from "commander";
import type { CliIo } from "./io.ts";
import { loadForCommand, textOrTokens } from "./load.ts";
import { parseNumber, parseTokens } from "./parse.ts";

const EXAMPLES = `
Examples:
  $ edgeformer score "The cat sat on the mat."
  $ edgeformer score --model models/my-gpt2 --tokens 464,3797,3332 --json`;

interface ScoreFlags {
  model?: string;
  tokens?: number[];
  topLogprobs: number;
  json?: boolean;
}

async function score(
  text: string | undefined,
  flags: ScoreFlags,
  io: CliIo,
  signal: AbortSignal | undefined,
): Promise<void> {
  const input = textOrTokens(text, flags.tokens);
  const model = await loadForCommand(flags.model, io, signal);
  const result = await model.score(input, {
    topLogprobs: flags.json ? flags.topLogprobs : 0,
    ...(signal === undefined ? {} : { signal }),
  });
  if (flags.json) {
    const { ids, tokenLogprobs, topLogprobs, perplexity } = result;
    const report = { ids, token_logprobs: tokenLogprobs, top_logprobs: topLogprobs, perplexity };
    io.stdout.write(`${JSON.stringify(report)}\n`);
    return;
  }
  for (const [i, id] of result.ids.entries()) {
    const logprob = result.tokenLogprobs[i] ?? null;
    const spelling = model.tokenizer ? ` ${JSON.stringify(model.tokenizer.decode([id]))}` : "";
    io.stdout.write(`${logprob === null ? "-" : logprob.toFixed(4)}\t${id}${spelling}\n`);
  }
  io.stdout.write(`perplexity ${result.perplexity.toFixed(4)}\n`);
}

export function scoreCommand(io: CliIo, signal?: AbortSignal): Command {
  return new Command("score")
    .description("log-probability of each token of a text")
    .argument("[text]", "the text to score")
    .option(
      "--model <model>",
      "a model directory or a name that `pull` knows (default: the bundled story model)",
    )
    .option("--tokens <ids>", "token ids, instead of a text", parseTokens)
    .option("--top-logprobs <n>", "likeliest alternatives per token in the JSON, 0 to 100", parseNumber, 10)
    .option("--json", "print {ids, token_logprobs, top_logprobs, perplexity}")
    .addHelpText("after", EXAMPLES)
    .action((text: string | undefined, flags: ScoreFlags) => score(text, flags, io, signal));
}
