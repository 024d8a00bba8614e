// tsx edgeformer.ts DIRECTORY: ourselves, through the public interface
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readImage } from "../../src/convert/verify/fidelity.ts";
import { EngineProbe } from "../../src/convert/verify/probe.ts";
import { parseManifest } from "../../src/format/manifest.ts";
import { engineModule, openModel } from "../../src/node/index.ts";
import { CONTEXT } from "../shapes.ts";
import { logprobsOf, serve } from "./serve.mjs";

const directory = process.argv[2]!;
const start = performance.now();
const model = await openModel(directory, { context: CONTEXT, maxSequences: 1, promptLookup: 0 });

/** The engine by itself, which tells every logit; only what is scored needs it. */
async function openProbe(): Promise<EngineProbe> {
  const manifest = parseManifest(JSON.parse(readFileSync(join(directory, "model.json"), "utf8")));
  const probe = new EngineProbe(await engineModule(), manifest, CONTEXT);
  await probe.load(readImage(directory, manifest));
  return probe;
}

let probe: Promise<EngineProbe> | undefined;
await serve(performance.now() - start, {
  async run(ids, decodeTokens) {
    const options = { maxTokens: decodeTokens + 1, temperature: 0, ignoreEos: true };
    const start = performance.now();
    let decoding: number | undefined;
    for await (const _ of model.generate(ids, options)) decoding ??= performance.now();
    if (decoding === undefined) throw new Error("generate() gave no chunk");
    return { prefillMs: decoding - start, decodeMs: performance.now() - decoding };
  },
  async score(ids, asked) {
    probe ??= openProbe();
    const positions = Array.from((await probe).logits(ids), (logits, i) => logprobsOf(logits, asked[i]!));
    return {
      logprobs: positions.flatMap(({ logprobs }) => logprobs),
      best: positions.map(({ best }) => best),
    };
  },
});
process.exit(0);
