import type { Command } from "commander";
import type { GenerateOptions } from "../options.ts";
import { parseNumber, parseSeed } from "./parse.ts";

/** What the commands that generate have in common. */
export interface SamplingFlags {
  maxTokens?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  seed?: bigint;
  stop?: string[];
}

export function addSamplingFlags(command: Command, maxTokens?: number): Command {
  const most =
    maxTokens === undefined
      ? "tokens of an answer at most (default: what the context leaves)"
      : "tokens to generate at most";
  return command
    .option("--max-tokens <n>", most, parseNumber, maxTokens)
    .option(
      "--temperature <t>",
      "0 takes the likeliest token; up to 2 (default: the model's, or 1)",
      parseNumber,
    )
    .option(
      "--top-k <k>",
      "draw from the k likeliest tokens; 0 from all (default: the model's, or 0)",
      parseNumber,
    )
    .option(
      "--top-p <p>",
      "draw from the likeliest tokens that make up p (default: the model's, or 1)",
      parseNumber,
    )
    .option(
      "--min-p <p>",
      "drop tokens less likely than p times the likeliest (default: the model's, or 0)",
      parseNumber,
    )
    .option("--seed <n>", "the same seed gives the same text (default: random)", parseSeed);
}

/** The library's options, without the ones that were not given. */
export function samplingOptions(flags: SamplingFlags): GenerateOptions {
  const { maxTokens, temperature, topK, topP, minP, seed, stop } = flags;
  const all = { maxTokens, temperature, topK, topP, minP, seed, stop };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
