import engine from "../build/engine.wasm";
import engineDigest from "../build/engine-digest.js";
import page from "../build/page-files.js";
import { createApp } from "./app.ts";

export default createApp({ engine, engineDigest, page });
