// `node story.js [PROMPT] [SEED]`: continues a prompt, a token at a time.
import { bundledModel, openModel } from "edgeformer/node";

const [prompt = "Once upon a time", seed = "1"] = process.argv.slice(2);

const model = await openModel(bundledModel());
process.stdout.write(prompt);
for await (const { text } of model.generate(prompt, { maxTokens: 120, temperature: 0.8, seed: Number(seed) }))
  process.stdout.write(text);
process.stdout.write("\n");
model.dispose();
