/** A function of the engine: a number or nothing comes back. */
type Call<Arguments extends number[], Result = void> = (...args: Arguments) => Result;

/**
 * What engine.wasm exports (assembly/index.ts, where each is described), its kernels left out. A test compares this
 * with the compiled module.
 */
export interface EngineExports {
  memory: WebAssembly.Memory;
  setModel: Call<[descriptor: number]>;
  embed: Call<[rows: number]>;
  blocks: Call<[from: number, to: number, rows: number, wanted: number]>;
  forward: Call<[rows: number, wanted: number]>;
  head: Call<[first: number, count: number, begin: number, end: number]>;
  largestRowSum: Call<[weight: number], number>;
  sample: Call<
    [slot: number, sequence: number, temperature: number, topK: number, topP: number, minP: number],
    number
  >;
  logSumExp: Call<[slot: number], number>;
  topLogits: Call<[slot: number, k: number]>;
  mask: Call<[slot: number]>;
  penalize: Call<[slot: number, count: number, repetition: number, presence: number, frequency: number]>;
  seed: Call<[sequence: number, low: number, high: number, stream: number]>;
  random: Call<[sequence: number], number>;
  exp: Call<[x: number], number>;
}
