import { BLOCK_POSITIONS } from "../../assembly/abi.ts";
import { countParameters, type Recipe } from "../architectures/recipe.ts";
import { chainMemory, type StageMemory } from "../chain/plan.ts";
import { describeKinds } from "../convert/describe-kinds.ts";
import { ISOLATE_WASM_BYTES, JAVASCRIPT_BYTES, planMemory } from "../engine/memory.ts";
import { EdgeformerError } from "../errors.ts";
import { fidelityOf } from "../format/fidelity.ts";
import type { GenerationConfig } from "../format/generation.ts";
import type { ChainPlan, Fidelity, Manifest } from "../format/manifest.ts";
import { drawChain } from "./chain-drawing.ts";
import { describeMatrices } from "./describe-matrices.ts";
import { formatBytes } from "./progress.ts";
import { oneLine } from "./terminal.ts";

const CONTEXTS = [128, 256, 512, 1024, 2048, 4096, 8192];

interface ContextMemory {
  context: number;
  /** Linear memory that a Worker needs at least: KV blocks for one full sequence. */
  bytes: number;
  fitsIsolate: boolean;
}

/** What a Worker makes of the model when nothing is configured. */
export interface IsolateMemory {
  context: number;
  kvBlocks: number;
  /** Linear memory; `/health` reports the same number. */
  bytes: number;
  /** With the JavaScript of an idle Worker. */
  totalBytes: number;
}

/** What `inspect --json` prints. */
export interface Inspection {
  name: string;
  architecture: string;
  recipe: Omit<Recipe, "tensors">;
  tensors: Manifest["tensors"];
  parameters: number;
  tokenizer: Manifest["tokenizer"];
  /** Whether there is a chat template. */
  chat: boolean;
  /** What holds where a request is silent. */
  generation: GenerationConfig;
  weightBytes: number;
  parts: number;
  provenance: Manifest["provenance"];
  fidelity: Manifest["fidelity"] | null;
  memory: ContextMemory[];
  /** The longest context that fits an isolate; 0 if none does. */
  isolateContext: number;
  /** Null if the model does not fit an isolate. */
  isolate: IsolateMemory | null;
  /** The stages of a model that is shared out over several isolates. */
  chain: (ChainPlan & { stages: StageMemory[] }) | null;
}

function leastMemory(manifest: Manifest, context: number): number {
  return planMemory(manifest, { context, kvBlocks: Math.ceil(context / BLOCK_POSITIONS) }).bytes;
}

/** The Worker's plan for a model; null if it refuses the model. */
export function isolateMemory(manifest: Manifest): IsolateMemory | null {
  try {
    const { context, kvBlocks, bytes } = planMemory(manifest, { memoryLimit: ISOLATE_WASM_BYTES });
    return { context, kvBlocks, bytes, totalBytes: bytes + JAVASCRIPT_BYTES };
  } catch (error) {
    if (error instanceof EdgeformerError && error.code === "unsupported_model") return null;
    throw error;
  }
}

export function inspectModel(manifest: Manifest): Inspection {
  const { recipe } = manifest;
  const { maxPositions } = recipe;
  const { tensors: _, ...recipeWithoutTensors } = recipe;
  const isolate = isolateMemory(manifest);
  const contexts = [...CONTEXTS.filter((context) => context < maxPositions), maxPositions];
  return {
    name: manifest.name,
    architecture: manifest.architecture,
    recipe: recipeWithoutTensors,
    tensors: manifest.tensors,
    parameters: countParameters(recipe),
    tokenizer: manifest.tokenizer,
    chat: manifest.chat_template !== undefined,
    generation: manifest.generation ?? {},
    weightBytes: manifest.parts.reduce((sum, part) => sum + part.bytes, 0),
    parts: manifest.parts.length,
    provenance: manifest.provenance,
    fidelity: fidelityOf(manifest) ?? null,
    memory: contexts.map((context) => {
      const bytes = leastMemory(manifest, context);
      return { context, bytes, fitsIsolate: bytes <= ISOLATE_WASM_BYTES };
    }),
    isolateContext: isolate?.context ?? 0,
    isolate,
    chain: manifest.chain ? { ...manifest.chain, stages: chainMemory(manifest, manifest.chain) } : null,
  };
}

/** What --verify measured, as one line. */
export function describeFidelity(fidelity: Fidelity): string {
  const { corpus, tokens, perplexity_converted, perplexity_float32, kl_mean, top1_agreement } = fidelity;
  return (
    `perplexity ${perplexity_converted.toFixed(3)} converted, ${perplexity_float32.toFixed(3)} in float32 (${corpus}, ${tokens} tokens); ` +
    `mean KL ${kl_mean.toExponential(2)} nats, same likeliest token ${(top1_agreement * 100).toFixed(1)} %`
  );
}

/** Whether and how a model fits an isolate, as one line. */
export function describeIsolate(isolate: IsolateMemory | null, { recipe }: Manifest | Inspection): string {
  if (!isolate)
    return "does not fit a 128 MB isolate: convert it with --fit 107MB or --bits 4, or from a four-bit GGUF file, take a smaller model, share it out (edgeformer split), or run it in Node.js";
  const { context, kvBlocks, bytes, totalBytes } = isolate;
  const extent = context === recipe.maxPositions ? "its full context" : `a context of ${context} tokens`;
  return `fits a 128 MB isolate at ${extent}: ${formatBytes(bytes)} of WebAssembly memory with ${kvBlocks} KV blocks of ${BLOCK_POSITIONS} tokens, about ${formatBytes(totalBytes)} with JavaScript`;
}

function describeHeads({ numHeads, numKeyValueHeads, headSize }: Inspection["recipe"]): string {
  const shared = numKeyValueHeads === numHeads ? "" : ` and ${numKeyValueHeads} key/value heads`;
  return `${numHeads} heads${shared} of ${headSize}`;
}

function describeAttention({ layers, positions }: Inspection["recipe"]): string {
  const windows = new Set(layers.map(({ window }) => window).filter((window) => window > 0));
  const isWindowed = layers.every(({ window }) => window > 0);
  const reach =
    windows.size === 0
      ? "global"
      : `${isWindowed ? "" : "global, and "}windows of ${[...windows].join(", ")} tokens${isWindowed ? "" : " in some layers"}`;
  return `${reach}; ${positions.kind === "rotary" ? `rotary positions, base ${positions.theta}` : "learned positions"}`;
}

/** What the model's authors chose, and where a text ends. */
function describeGeneration({ generation, recipe }: Inspection): string {
  const settings = Object.entries(generation).map(([name, value]) => `${name} ${value}`);
  const ends =
    recipe.eosTokenIds.length === 0 ? "nothing ends a text" : `ends at ${recipe.eosTokenIds.join(", ")}`;
  return `${settings.length === 0 ? "no settings of its own" : settings.join(", ")}; ${ends}`;
}

/** What a plan has room for, as one line. */
export function describeChain({ cuts, context, max_sequences, kv_blocks }: ChainPlan): string {
  return `${cuts.length + 1} ${cuts.length === 0 ? "stage" : "stages"} at a context of ${context} tokens, ${max_sequences} sequences, ${kv_blocks} KV blocks of ${BLOCK_POSITIONS} tokens`;
}

/** The same for people. */
export function describeModel(inspection: Inspection): string {
  const { recipe, fidelity, provenance, tokenizer } = inspection;
  const rows: [string, string][] = [
    ["name", inspection.name],
    [
      "architecture",
      `${recipe.architecture}, ${recipe.layers.length} layers, width ${recipe.hiddenSize}, ${describeHeads(recipe)}, inner width ${recipe.innerSize}`,
    ],
    ["attention", describeAttention(recipe)],
    ["activation", `${recipe.activation}${recipe.gated ? ", gated" : ""}`],
    ["vocabulary", `${recipe.vocabSize}, ${recipe.tiedHead ? "tied" : "untied"} output head`],
    [
      "tokenizer",
      tokenizer === null
        ? "none: prompts and completions are token ids"
        : `${formatBytes(tokenizer.bytes)} in ${tokenizer.file}`,
    ],
    ["chat", inspection.chat ? "by its chat template" : "none: it continues texts"],
    ["generation", describeGeneration(inspection)],
    ["context", `${recipe.maxPositions} tokens`],
    ["parameters", `${(inspection.parameters / 1e6).toFixed(1)} M`],
    [
      "weights",
      `${formatBytes(inspection.weightBytes)} in ${inspection.parts} ${inspection.parts === 1 ? "file" : "files"}, ${((inspection.weightBytes * 8) / inspection.parameters).toFixed(2)} bits a parameter`,
    ],
    ["kinds", describeKinds(inspection)],
    ...describeMatrices(inspection.tensors).map(([name, text]): [string, string] => [`  ${name}`, text]),
    [
      "source",
      provenance.revision === null
        ? provenance.source
        : `${provenance.source}, revision ${provenance.revision}`,
    ],
    ["fidelity", fidelity ? describeFidelity(fidelity) : "not measured; convert with --verify"],
  ];
  for (const { context, bytes, fitsIsolate } of inspection.memory)
    rows.push([
      `memory, ${context} tokens`,
      `${formatBytes(bytes)}${fitsIsolate ? "" : " (more than an isolate has)"}`,
    ]);
  rows.push(["isolate", describeIsolate(inspection.isolate, inspection)]);
  if (inspection.chain)
    rows.push(
      ["chain", describeChain(inspection.chain)],
      ...drawChain(inspection.chain.stages, ISOLATE_WASM_BYTES),
    );
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${oneLine(value)}\n`).join("");
}
