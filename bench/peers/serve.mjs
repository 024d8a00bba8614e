// What every peer's process does: says how long it took to load, then answers each line on its standard input with a
// line of JSON.
//   run DECODE IDS…              a prompt, then so many greedy tokens
//   score COUNT ASKED IDS… …     the log-probabilities of ASKED tokens after each of COUNT ids, and the likeliest one
import { createInterface } from "node:readline";

/**
 * @param {number} loadMs
 * @param {import("./serve.d.mts").Engine} engine
 */
export async function serve(loadMs, { run, score }) {
  console.log(JSON.stringify({ loadMs }));
  for await (const line of createInterface({ input: process.stdin })) {
    const [task, ...words] = line.split(" ");
    const numbers = words.map(Number);
    if (task === "run") console.log(JSON.stringify(await run(numbers.slice(1), numbers[0])));
    else if (score === undefined) throw new Error("this peer tells no log-probabilities");
    else {
      const [count, each, ...ids] = numbers;
      const asked = Array.from({ length: count }, (_, i) =>
        ids.slice(count + i * each, count + (i + 1) * each),
      );
      console.log(JSON.stringify(await score(ids.slice(0, count), asked)));
    }
  }
}

/**
 * Log-probabilities of some tokens, and the likeliest of all.
 *
 * @param {Float32Array} logits
 * @param {number[]} asked
 */
export function logprobsOf(logits, asked) {
  const best = likeliest(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - logits[best]);
  const normalizer = logits[best] + Math.log(sum);
  return { best, logprobs: asked.map((id) => logits[id] - normalizer) };
}

/** @param {Float32Array} logits */
export function likeliest(logits) {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}
