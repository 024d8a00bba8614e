import { parameterCount } from "../convert/parameters.ts";
import type { Fidelity, Manifest } from "../manifest.ts";
import { planMemory } from "../memory.ts";
import { formatBytes } from "./progress.ts";

/** What a Cloudflare Worker's isolate may use, JavaScript and WebAssembly together. */
export const ISOLATE_BYTES = 128 * 1024 * 1024;
/** Kept free for JavaScript: 5 MB of tokenizer tables, the script itself, requests and garbage. */
export const JAVASCRIPT_BYTES = 16 * 1024 * 1024;

const CONTEXTS = [128, 256, 512, 1024, 2048, 4096, 8192];

interface ContextMemory {
  context: number;
  /** Linear memory for one sequence. */
  bytes: number;
  fitsIsolate: boolean;
}

/** What `inspect --json` prints. */
export interface Inspection {
  name: string;
  architecture: string;
  config: Manifest["config"];
  parameters: number;
  tokenizer: Manifest["tokenizer"];
  weightBytes: number;
  parts: number;
  provenance: Manifest["provenance"];
  fidelity: Manifest["fidelity"] | null;
  memory: ContextMemory[];
  /** The longest context that fits an isolate; 0 if none does. */
  isolateContext: number;
}

function linearMemory(manifest: Manifest, context: number): number {
  return planMemory(manifest.config, { context, maxSequences: 1 }).bytes;
}

function fits(manifest: Manifest, context: number): boolean {
  return linearMemory(manifest, context) + JAVASCRIPT_BYTES <= ISOLATE_BYTES;
}

/** The longest context up to the model's own that fits an isolate, by bisection. */
function longestContext(manifest: Manifest): number {
  let [fitting, failing] = [0, manifest.config.n_positions + 1];
  while (failing - fitting > 1) {
    const middle = (fitting + failing) >> 1;
    if (fits(manifest, middle)) fitting = middle;
    else failing = middle;
  }
  return fitting;
}

export function inspectModel(manifest: Manifest): Inspection {
  const { n_positions } = manifest.config;
  const contexts = [...CONTEXTS.filter((context) => context < n_positions), n_positions];
  return {
    name: manifest.name,
    architecture: manifest.architecture,
    config: manifest.config,
    parameters: parameterCount(manifest.config),
    tokenizer: manifest.tokenizer,
    weightBytes: manifest.parts.reduce((sum, part) => sum + part.bytes, 0),
    parts: manifest.parts.length,
    provenance: manifest.provenance,
    fidelity: manifest.fidelity ?? null,
    memory: contexts.map((context) => ({
      context,
      bytes: linearMemory(manifest, context),
      fitsIsolate: fits(manifest, context),
    })),
    isolateContext: longestContext(manifest),
  };
}

/** What --verify measured, as one line. */
export function describeFidelity(fidelity: Fidelity): string {
  const { corpus, tokens, perplexity_int8, perplexity_float32, kl_mean, top1_agreement } = fidelity;
  return (
    `perplexity ${perplexity_int8.toFixed(3)} in int8, ${perplexity_float32.toFixed(3)} in float32 (${corpus}, ${tokens} tokens); ` +
    `mean KL ${kl_mean.toExponential(2)} nats, same likeliest token ${(top1_agreement * 100).toFixed(1)} %`
  );
}

function verdict({ isolateContext, config }: Inspection): string {
  if (isolateContext === config.n_positions) return "fits a 128 MB isolate at its full context";
  if (isolateContext > 0)
    return `fits a 128 MB isolate at a context of up to ${isolateContext} tokens: load it with that context`;
  return "does not fit a 128 MB isolate: use a smaller model there (DistilGPT-2 has 82 M parameters), or run this one in Node.js";
}

/** The same for people. */
export function describeModel(inspection: Inspection): string {
  const { config, fidelity, provenance, tokenizer } = inspection;
  const added = tokenizer.type === "none" ? 0 : Object.keys(tokenizer.added_tokens).length;
  const windows = new Set(config.attention_windows.filter((window) => window > 0));
  const rows: [string, string][] = [
    ["name", inspection.name],
    [
      "architecture",
      `${inspection.architecture}, ${config.n_layer} layers, width ${config.n_embd}, ${config.n_head} heads of ${config.n_embd / config.n_head}, inner width ${config.n_inner}`,
    ],
    [
      "attention",
      windows.size === 0
        ? "global"
        : `global, and windows of ${[...windows].join(", ")} tokens in some layers`,
    ],
    ["activation", config.activation_function],
    ["vocabulary", `${config.vocab_size}, ${config.tie_word_embeddings ? "tied" : "untied"} output head`],
    [
      "tokenizer",
      tokenizer.type === "none"
        ? "none: prompts and completions are token ids"
        : `r50k_base${added > 0 ? `, ${added} added tokens` : ""}`,
    ],
    ["context", `${config.n_positions} tokens`],
    ["parameters", `${(inspection.parameters / 1e6).toFixed(1)} M`],
    ["weights", `${formatBytes(inspection.weightBytes)} in ${inspection.parts} files`],
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
  rows.push(["isolate", verdict(inspection)]);
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${value}\n`).join("");
}
