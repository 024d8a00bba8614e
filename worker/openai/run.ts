import {
  EdgeformerError,
  type FinishReason,
  type Model,
  type Score,
  type SharingOptions,
  type Usage,
} from "../../src/index.ts";
import type { Plan } from "./completions-plan.ts";
import { Choice, type Delta } from "./wire/choice.ts";
import { generateOptions } from "./wire/generate-options.ts";

export interface FinishedChoice {
  prompt: number;
  candidate: number;
  finishReason: FinishReason;
  usage: Usage;
  /** Mean log-probability of the generated tokens; what `best_of` compares. */
  meanLogprob: number;
}

/** Sequences of one request that run at a time. Its others wait, so that other requests get their turn. */
const WIDTH = 8;

/**
 * Computes every completion of a plan, several at a time.
 *
 * @param sharing whose work it is, and with whom it shares the cache
 * @param emit receives the deltas of each choice in order; generation waits for it, and ends if it rejects
 * @throws what the model or `emit` threw first, once everything has stopped
 */
export async function runPlan(
  model: Model,
  plan: Plan,
  sharing: SharingOptions,
  controller: AbortController,
  emit: (prompt: number, candidate: number, delta: Delta) => Promise<void> | void,
): Promise<FinishedChoice[]> {
  if (controller.signal.aborted) throw new EdgeformerError("aborted", "the request was aborted");
  const { request, prompts, candidates, heldTo } = plan;
  const finished: FinishedChoice[] = [];
  const ranks = candidates > request.n;
  const asked = request.logprobs ?? (ranks ? 0 : undefined);
  const scores: (Score | undefined)[] = [];

  const run = async (promptIndex: number, candidate: number): Promise<void> => {
    const prompt = prompts[promptIndex]!;
    const choice = new Choice(model.tokenizer, request.logprobs !== undefined);
    if (request.echo)
      await emit(promptIndex, candidate, choice.echo(prompt.ids, prompt.text, scores[promptIndex]));
    let usage: Usage = { promptTokens: prompt.ids.length, completionTokens: 0, cachedTokens: 0 };
    let finishReason: FinishReason = "length";
    let sum = 0;
    if (request.max_tokens === 0)
      await emit(promptIndex, candidate, choice.add({ text: "", ids: [], finishReason }));
    else {
      const options = {
        ...generateOptions(request, candidate),
        ...sharing,
        ...(heldTo && { constraint: heldTo.constraint }),
        logprobs: asked,
        signal: controller.signal,
      };
      for await (const chunk of model.generate(prompt.ids, options)) {
        for (const entry of chunk.logprobs ?? []) sum += entry.logprob;
        finishReason = chunk.finishReason ?? finishReason;
        usage = chunk.usage ?? usage;
        await emit(promptIndex, candidate, choice.add(chunk));
      }
    }
    const meanLogprob = sum / Math.max(1, usage.completionTokens);
    finished.push({ prompt: promptIndex, candidate, finishReason, usage, meanLogprob });
  };

  if (request.echo && request.logprobs !== undefined)
    for (const prompt of prompts)
      scores.push(
        await model.score(prompt.ids, {
          ...sharing,
          topLogprobs: request.logprobs,
          signal: controller.signal,
        }),
      );
  const jobs = prompts.flatMap((_, prompt) =>
    Array.from({ length: candidates }, (_, i) => [prompt, i] as const),
  );
  const worker = async () => {
    for (let job = jobs.shift(); job && !controller.signal.aborted; job = jobs.shift()) await run(...job);
  };
  const stopOthers = (error: unknown) => {
    controller.abort();
    throw error;
  };
  const results = await Promise.allSettled(
    Array.from({ length: Math.min(WIDTH, jobs.length) }, () => worker().catch(stopOthers)),
  );
  const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  // The first failure stopped the others, so their "aborted" explains nothing.
  if (failures.length > 0) throw failures.find((error) => error?.code !== "aborted") ?? failures[0];
  return finished.sort((a, b) => a.prompt - b.prompt || a.candidate - b.candidate);
}

/** The candidates to return: the `n` whose tokens are likeliest on average, in each prompt's own order. */
export function bestOf(plan: Plan, finished: FinishedChoice[]): FinishedChoice[] {
  if (plan.candidates === plan.request.n) return finished;
  return plan.prompts.flatMap((_, prompt) =>
    finished
      .filter((choice) => choice.prompt === prompt)
      .sort((a, b) => b.meanLogprob - a.meanLogprob || a.candidate - b.candidate)
      .slice(0, plan.request.n),
  );
}
