/** What a bundler that compiles WebAssembly ahead, such as wrangler's, gives for `import engine from "edgeformer/engine.wasm"`. */
declare const engine: WebAssembly.Module;
export default engine;
