// tsx edgeformer.ts DIRECTORY: ourselves, through the public interface
import { openModel } from "../../src/node/index.ts";
import { prompt } from "../shapes.ts";
import { serveRounds } from "./rounds.mjs";

const model = await openModel(process.argv[2]!, { maxSequences: 1, promptLookup: 0 });

await serveRounds(async (round, promptTokens, decodeTokens) => {
  const options = { maxTokens: decodeTokens + 1, temperature: 0, ignoreEos: true };
  const start = performance.now();
  let decoding: number | undefined;
  for await (const _ of model.generate(prompt(promptTokens, round), options)) decoding ??= performance.now();
  if (decoding === undefined) throw new Error("generate() gave no chunk");
  return { prefillMs: decoding - start, decodeMs: performance.now() - decoding };
});
process.exit(0);
