/** @module edgeformer */

export type {
  ActivationName,
  LayerRecipe,
  Positions,
  Recipe,
  RopeScaling,
  TensorRole,
  TensorSpec,
} from "./architectures/recipe.ts";
export { countParameters } from "./architectures/recipe.ts";
export { compileEngine } from "./engine/compile.ts";
export {
  ISOLATE_BYTES,
  ISOLATE_WASM_BYTES,
  JAVASCRIPT_BYTES,
  type MemoryOptions,
  type MemoryPlan,
  planMemory,
  REQUEST_BYTES,
} from "./engine/memory.ts";
export { EdgeformerError, type ErrorCode } from "./errors.ts";
export type { GenerationConfig } from "./format/generation.ts";
export type { WeightKind } from "./format/kinds.ts";
export type { ModelLayout, TensorInfo } from "./format/layout.ts";
export {
  type Fidelity,
  type FileInfo,
  FORMAT_VERSION,
  type Manifest,
  type ManifestFile,
  type PartInfo,
  parseManifest,
} from "./format/manifest.ts";
export { loadManifest, loadModel, loadTokenizer } from "./loading/load.ts";
export type { LoadOptions, ModelSource, StreamingDigest } from "./loading/load-options.ts";
export { type Bucket, bucketSource, fetchSource } from "./loading/sources.ts";
export { Model } from "./model.ts";
export type { GenerateOptions, SamplingOptions } from "./options.ts";
export type { InParts } from "./parts.ts";
export type {
  Completion,
  FinishReason,
  GenerateChunk,
  GeneratedLogprob,
  Score,
  ScoreOptions,
  TokenLogprob,
  Usage,
} from "./results.ts";
export type { TokenConstraint, TokenMatcher } from "./serving/restriction.ts";
export type { Owner, SharingOptions } from "./sharing.ts";
export type { ChatTemplateValues } from "./text/chat-template.ts";
export type { ChatTokenizer } from "./text/chat-tokenizer.ts";
export {
  type EncodeOptions,
  parseTokenizerTable,
  type TokenDecoder,
  type Tokenizer,
} from "./text/tokenizer.ts";
