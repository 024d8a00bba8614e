/** @module edgeformer */

export { compileEngine } from "./compile.ts";
export { EdgeformerError, type ErrorCode } from "./errors.ts";
export { loadManifest, loadModel } from "./load.ts";
export {
  ACTIVATIONS,
  type ActivationName,
  type Fidelity,
  FORMAT_VERSION,
  type Manifest,
  type ModelConfig,
  type PartInfo,
  parseManifest,
  type TensorInfo,
  type TokenizerInfo,
} from "./manifest.ts";
export {
  ISOLATE_BYTES,
  ISOLATE_WASM_BYTES,
  JAVASCRIPT_BYTES,
  type MemoryOptions,
  type MemoryPlan,
  planMemory,
} from "./memory.ts";
export { Model } from "./model.ts";
export type { GenerateOptions, SamplingOptions } from "./options.ts";
export { type Bucket, bucketSource, fetchSource } from "./source.ts";
export { createTokenizer, type Tokenizer } from "./tokenizer.ts";
export type {
  Completion,
  FinishReason,
  GenerateChunk,
  GeneratedLogprob,
  LoadOptions,
  ModelSource,
  Score,
  ScoreOptions,
  StreamingDigest,
  TokenLogprob,
  Usage,
} from "./types.ts";
