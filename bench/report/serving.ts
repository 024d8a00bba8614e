// What docs/serving.md and the table of targets take from the benchmark of the scheduler.
import {
  CROWD,
  CROWDED,
  crowdKey,
  GUESSES,
  lookupKey,
  PROMPTS,
  type ServingResults,
} from "../serving/results.ts";
import { medianRatio } from "../statistics.ts";
import { describeMachine, type Row, table, target } from "./markdown.ts";

/** What guessing gave for each text. */
function lookups({ cases, counts, samples }: ServingResults) {
  return cases.map(({ shape, name }) => {
    const key = (guesses: number) => lookupKey(shape, name, guesses);
    const plain = counts[key(0)]!;
    const guessing = counts[key(1)]!;
    return {
      shape,
      name,
      tokensPerStep: plain.steps / guessing.steps,
      wrong: guessing.rows - plain.rows,
      speedups: GUESSES.slice(1).map((guesses) => medianRatio(samples[key(0)]!, samples[key(guesses)]!)),
    };
  });
}

const crowdGain = ({ samples }: ServingResults, shape: string, prompt: number) =>
  medianRatio(samples[crowdKey(shape, prompt, "alone")]!, samples[crowdKey(shape, prompt, "together")]!);

export function servingTargets(results: ServingResults): Row[] {
  const all = lookups(results);
  const copied = all.filter(({ tokensPerStep }) => tokensPerStep > 5 / 3).map(({ speedups }) => speedups[0]!);
  const unguessed = all
    .filter(({ tokensPerStep }) => tokensPerStep === 1)
    .map(({ speedups }) => speedups[0]!);
  return [
    ...CROWDED.map((shape) =>
      target(
        `${CROWD} sequences ÷ one at a time, ${shape}, 64 tokens behind ${PROMPTS[0]}`,
        crowdGain(results, shape, PROMPTS[0]!),
        1.4,
        "≥",
      ),
    ),
    target("prompt lookup where text is copied, best of them", Math.max(...copied), 1.8, "≥"),
    target("prompt lookup where nothing can be guessed, worst of them", Math.min(...unguessed), 0.95, "≥"),
  ];
}

export function servingSection(results: ServingResults): string {
  const { machine, rounds, samples, cachedTokens } = results;
  const crowds = CROWDED.flatMap((shape) =>
    PROMPTS.map(
      (prompt): Row => [
        `${CROWD} sequences together ÷ one at a time, ${shape}, 64 tokens behind ${prompt}`,
        `${crowdGain(results, shape, prompt).toFixed(2)} ×`,
      ],
    ),
  );
  const rows = lookups(results).map(
    ({ shape, name, tokensPerStep, wrong, speedups }): Row => [
      shape,
      name,
      tokensPerStep.toFixed(2),
      String(wrong),
      ...speedups.map((speedup) => `${speedup.toFixed(2)} ×`),
    ],
  );
  return `\`npm run serving\` in \`bench/\`, the scheduler in workerd: ${describeMachine(machine)} Medians over ${rounds} rounds of the ratio within a round. Every text is compared with the one of plain decoding, or of the sequence alone.

${table(["", "measured"], [...crowds, ["prompt of 528 that shares 512 with an earlier one: tokens from the cache", String(cachedTokens)], ["its time to first token, cold ÷ warm", `${medianRatio(samples["prefix/cold"]!, samples["prefix/warm"]!).toFixed(0)} ×`]])}

Prompt lookup, with 1, 3 and 7 guesses a step. Licence, source file, prose and random tokens are replayed: the model computes and draws everything, and a bias makes each draw the known token. The stories are fable's own, and what is called its own is SmolLM2-135M-Instruct's answer, in four bits.

${table(["model", "text", "tokens per step", "wrong guesses", "1 guess", "up to 3", "up to 7"], rows)}`;
}
