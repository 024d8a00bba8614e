// What every peer process does: get ready, then one measurement for each line on its standard input, answered by
// one line of JSON. A round is a prompt of 128 tokens and 128 decoded tokens.
import { createInterface } from "node:readline";

export const PROMPT_TOKENS = 128;
export const DECODE_TOKENS = 128;

/** @param {(round: number) => Promise<{prefillMs: number, decodeMs: number}>} measure */
export async function serveRounds(measure) {
  await measure(0);
  console.log(JSON.stringify({ ready: true }));
  let round = 1;
  for await (const _ of createInterface({ input: process.stdin })) {
    const { prefillMs, decodeMs } = await measure(round++);
    console.log(
      JSON.stringify({
        prefill: (PROMPT_TOKENS * 1e3) / prefillMs,
        decode: (DECODE_TOKENS * 1e3) / decodeMs,
      }),
    );
  }
}
