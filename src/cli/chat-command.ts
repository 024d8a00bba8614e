import { Command } from "commander";
import { Conversation } from "../conversation.ts";
import { given } from "../given.ts";
import { DEFAULT_MODEL } from "../pull/catalogue.ts";
import { ChatLoop } from "./chat-loop.ts";
import { addConstraintFlags, type ConstraintFlags, constraintOf } from "./constraint-flags.ts";
import type { CliIo } from "./io.ts";
import { loadForCommand } from "./load.ts";
import { collect } from "./parse.ts";
import { printAnswer } from "./print-answer.ts";
import { addSamplingFlags, type SamplingFlags, samplingOptions } from "./sampling-flags.ts";

const EXAMPLES = `
Examples:
  $ edgeformer chat
  $ edgeformer chat "Why is the sky blue?"
  $ edgeformer chat "Who wrote Hamlet, and when? Answer in JSON." --schema answer.json
  $ edgeformer chat "Is this review good or bad? I loved it." --choice good --choice bad
  $ edgeformer chat --model models/my-llama --system "Answer in one word." --temperature 0 < questions.txt

In a conversation, /help shows what there is besides talking; Ctrl-C stops an
answer.`;

interface ChatFlags extends SamplingFlags, ConstraintFlags {
  model: string;
  system?: string;
  json?: boolean;
}

async function chat(
  question: string | undefined,
  flags: ChatFlags,
  io: CliIo,
  signal: AbortSignal | undefined,
): Promise<void> {
  const constraint = await constraintOf(flags);
  const model = await loadForCommand(flags.model, io, signal);
  // One date for the whole conversation: what was read stays in the cache.
  const conversation = new Conversation(model, { system: flags.system, values: { date: new Date() } });
  const generate = { ...samplingOptions(flags), ...given({ constraint }) };
  const json = flags.json ?? false;
  if (question === undefined) return new ChatLoop(conversation, io, { generate, json }).run(signal);
  const answer = await printAnswer(
    conversation.say(question, { ...generate, ...(signal && { signal }) }),
    io,
    json,
  );
  if (io.stdout.isTTY) io.stderr.write(`[${answer.speed}]\n`);
}

export function chatCommand(io: CliIo, signal?: AbortSignal): Command {
  const command = new Command("chat")
    .description("talk with a chat model, or ask it one question")
    .argument("[question]", "ask this once; without it, a conversation")
    .option(
      "--model <model>",
      "a model directory or a name that `pull` knows, with a chat template",
      DEFAULT_MODEL,
    )
    .option("--system <text>", "what the model is told before everything else")
    .option("--json", "print a line of JSON for each answer");
  return addConstraintFlags(addSamplingFlags(command))
    .option("--stop <text>", "end an answer before this text; may be given several times", collect)
    .addHelpText("after", EXAMPLES)
    .action((question: string | undefined, flags: ChatFlags) => chat(question, flags, io, signal));
}
