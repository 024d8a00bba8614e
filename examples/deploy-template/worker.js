import engine from "edgeformer/engine.wasm";
import page from "edgeformer/page";
import { createApp } from "edgeformer/worker";

// An OpenAI-compatible endpoint and its page around the model in ./model, which `npm run build` fetches.
export default createApp({ engine, page });
