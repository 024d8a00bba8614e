import engine from "../build/engine.wasm";
import engineDigest from "../build/engine-digest.js";
import { createApp } from "./app.ts";

export default createApp({ engine, engineDigest });
