// What every peer process does: a prompt of four tokens, which touches all weights; at once its first round, while a
// just-in-time compiler is still at work; then one round for each line on its standard input. A round is a prompt of
// 128 tokens and 128 decoded tokens, answered by one line of JSON.
import { createInterface } from "node:readline";

const PROMPT_TOKENS = 128;
const DECODE_TOKENS = 128;

/**
 * @param {(round: number, promptTokens: number, decodeTokens: number) =>
 *   Promise<{prefillMs: number, decodeMs: number}>} measure
 */
export async function serveRounds(measure) {
  const serve = async (round) => {
    const { prefillMs, decodeMs } = await measure(round, PROMPT_TOKENS, DECODE_TOKENS);
    console.log(
      JSON.stringify({
        prefill: (PROMPT_TOKENS * 1e3) / prefillMs,
        decode: (DECODE_TOKENS * 1e3) / decodeMs,
      }),
    );
  };
  await measure(0, 4, 0);
  let round = 1;
  await serve(round++);
  for await (const _ of createInterface({ input: process.stdin })) await serve(round++);
}
