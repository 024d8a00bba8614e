import engine from "edgeformer/engine.wasm";
import { createApp } from "edgeformer/worker";

// An OpenAI-compatible endpoint around the model in ./model, which `npm run convert` makes.
export default createApp({ engine });
