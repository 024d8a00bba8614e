import engine from "edgeformer/engine.wasm";
import { createApp } from "edgeformer/worker";

export default createApp({ engine, engineDigest: "packed" });
