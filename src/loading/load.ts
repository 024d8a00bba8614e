import { requireSimd } from "../engine/engine.ts";
import { planMemory } from "../engine/memory.ts";
import { EdgeformerError } from "../errors.ts";
import { syntaxMessage } from "../excerpt.ts";
import { type FileInfo, MAX_MANIFEST_BYTES, type Manifest, parseManifest } from "../format/manifest.ts";
import { given } from "../given.ts";
import { Model } from "../model.ts";
import { EngineStage } from "../serving/engine-stage.ts";
import { MAX_GUESSES } from "../serving/prompt-lookup.ts";
import { Scheduler } from "../serving/scheduler.ts";
import { LocalStepper } from "../serving/step.ts";
import { ChatTokenizer } from "../text/chat-tokenizer.ts";
import { parseTokenizerTable, type Tokenizer } from "../text/tokenizer.ts";
import { verify, wholeDigest } from "./digest.ts";
import type { LoadOptions, ModelSource } from "./load-options.ts";
import { readWhole } from "./open-file.ts";
import { loadWeights } from "./weights.ts";

/** What reading a tokenizer needs. */
type TableOptions = Pick<LoadOptions, "source" | "signal" | "digest">;

const zeroTimeout = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** Reads and checks model.json. */
export async function loadManifest(source: ModelSource, signal?: AbortSignal): Promise<Manifest> {
  const bytes = await readWhole(source, "model.json", MAX_MANIFEST_BYTES, signal);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new EdgeformerError(
      "invalid_model",
      `model.json: not valid JSON (${syntaxMessage(cause as SyntaxError)})`,
      {
        cause,
      },
    );
  }
  return parseManifest(value);
}

/** Reads and verifies the tokenizer that a manifest names. */
async function readTable(
  { source, signal, digest: createDigest }: TableOptions,
  info: FileInfo,
): Promise<Uint8Array> {
  const { file, bytes: expected } = info;
  const bytes = await readWhole(source, file, expected, signal);
  if (bytes.length < expected)
    throw new EdgeformerError(
      "invalid_model",
      `${file}: ends after ${bytes.length} of its ${expected} bytes`,
    );
  const digest = createDigest?.() ?? wholeDigest(bytes);
  await digest.update(bytes);
  await verify(info, digest);
  return bytes;
}

/**
 * The tokenizer of a model directory, without its weights.
 *
 * @throws EdgeformerError `invalid_model`, `io`, `aborted`; `unsupported_model` for a model that has none
 */
export async function loadTokenizer(source: ModelSource, signal?: AbortSignal): Promise<ChatTokenizer> {
  const { tokenizer, name, chat_template } = await loadManifest(source, signal);
  if (tokenizer === null)
    throw new EdgeformerError("unsupported_model", `${name} has no tokenizer: it takes and gives token ids`);
  return new ChatTokenizer(await readTable({ source, ...given({ signal }) }, tokenizer), chat_template);
}

/** The tokenizer that a manifest names; undefined where it names none. */
export async function loadTable(
  options: TableOptions,
  { tokenizer }: Manifest,
): Promise<Tokenizer | undefined> {
  return tokenizer === null ? undefined : parseTokenizerTable(await readTable(options, tokenizer));
}

/**
 * Checks what can be wrong with the options before anything is read.
 *
 * @throws EdgeformerError `unsupported_runtime`, `invalid_option`
 */
export function checkLoad({ module, promptLookup = 1 }: LoadOptions): void {
  requireSimd();
  if (!(module instanceof WebAssembly.Module))
    throw new EdgeformerError(
      "invalid_option",
      "module must be a WebAssembly.Module: the compiled engine.wasm",
      { param: "module" },
    );
  if (!Number.isInteger(promptLookup) || promptLookup < 0 || promptLookup > MAX_GUESSES)
    throw new EdgeformerError(
      "invalid_option",
      `promptLookup must be an integer from 0 to ${MAX_GUESSES}: tokens to guess per step`,
      { param: "promptLookup" },
    );
}

/**
 * Loads a model directory into an engine of its own. Peak memory is the arena and a chunk of each open part; nothing can
 * be generated before the last byte is verified.
 *
 * @throws EdgeformerError `invalid_model`, `unsupported_model`, `unsupported_runtime`, `io`, `aborted`, or
 *   `invalid_option`
 */
export async function loadModel(options: LoadOptions): Promise<Model> {
  const { source, signal } = options;
  checkLoad(options);
  const manifest = await loadManifest(source, signal);
  const plan = planMemory(manifest, options);
  const tokenizer = await loadTable(options, manifest);
  const engine = await loadWeights(options, { model: manifest, plan, parts: manifest.parts });
  const scheduler = new Scheduler(engine.plan, options);
  const { pause = zeroTimeout, rowsPerPause = Number.POSITIVE_INFINITY } = options;
  const stepper = new LocalStepper(scheduler, new EngineStage(engine), pause, rowsPerPause);
  return new Model(manifest, { engine, stepper }, tokenizer, options.fastForward);
}
