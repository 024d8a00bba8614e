import { Engine, requireSimd } from "./engine.ts";
import { EdgeformerError } from "./errors.ts";
import { type Manifest, type PartInfo, parseManifest } from "./manifest.ts";
import { planMemory } from "./memory.ts";
import { Model } from "./model.ts";
import type { LoadOptions, ModelSource } from "./types.ts";

const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

function aborted(signal: AbortSignal): EdgeformerError {
  return new EdgeformerError("aborted", "loading was aborted", { cause: signal.reason });
}

/** Chunks of a file; whatever goes wrong on the way becomes a typed error that names the file. */
async function* read(source: ModelSource, file: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of await source.open(file, signal)) {
      if (signal?.aborted) throw aborted(signal);
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof EdgeformerError) throw cause;
    if (signal?.aborted) throw aborted(signal);
    throw new EdgeformerError("io", `${file}: reading ${source.name} failed (${String(cause)})`, { cause });
  }
}

/** Reads and checks model.json. */
export async function loadManifest(source: ModelSource, signal?: AbortSignal): Promise<Manifest> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of read(source, "model.json", signal)) {
    bytes += chunk.length;
    if (bytes > MAX_MANIFEST_BYTES)
      throw new EdgeformerError("invalid_model", "model.json: larger than 4 MiB");
    text += decoder.decode(chunk, { stream: true });
  }
  let value: unknown;
  try {
    value = JSON.parse(text + decoder.decode());
  } catch (cause) {
    throw new EdgeformerError("invalid_model", `model.json: not valid JSON (${(cause as Error).message})`, {
      cause,
    });
  }
  return parseManifest(value);
}

/**
 * Copies one part to its place as its bytes arrive, hashing behind them.
 * @param start the part's first byte within the image, a multiple of 64
 */
async function loadPart(
  engine: Engine,
  part: PartInfo,
  start: number,
  chunks: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const end = start + part.bytes;
  let at = start;
  let hashed = start;
  engine.hashStart();
  for await (const chunk of chunks) {
    if (at + chunk.length > end)
      throw new EdgeformerError("invalid_model", `${part.file}: longer than its ${part.bytes} bytes`);
    engine.writeWeights(at, chunk);
    at += chunk.length;
    const whole = at - ((at - start) % 64);
    engine.hashBlocks(hashed, whole);
    hashed = whole;
    onBytes(chunk.length);
  }
  if (at < end)
    throw new EdgeformerError(
      "invalid_model",
      `${part.file}: ends after ${at - start} of its ${part.bytes} bytes`,
    );
  if (engine.hashFinish(hashed, at, part.bytes) !== part.sha256)
    throw new EdgeformerError(
      "invalid_model",
      `${part.file}: the SHA-256 is not the one in model.json; the file is damaged, copy or convert it again`,
    );
}

/**
 * Loads a model directory into a new engine. Peak memory is the arena and one chunk; nothing can be generated
 * before the last byte is verified.
 *
 * @throws EdgeformerError `invalid_model`, `unsupported_model`, `unsupported_runtime`, `io`, `aborted`, or
 *   `invalid_option`
 */
export async function loadModel(options: LoadOptions): Promise<Model> {
  const { module, source, signal, onProgress } = options;
  requireSimd();
  if (!(module instanceof WebAssembly.Module))
    throw new EdgeformerError(
      "invalid_option",
      "module must be a WebAssembly.Module: the compiled engine.wasm",
      {
        param: "module",
      },
    );
  const manifest = await loadManifest(source, signal);
  const plan = planMemory(manifest.config, options);
  const engine = new Engine(module, manifest, plan);
  let loaded = 0;
  let start = 0;
  for (const part of manifest.parts) {
    await loadPart(engine, part, start, read(source, part.file, signal), (bytes) => {
      loaded += bytes;
      onProgress?.(loaded, plan.sizes.weights);
    });
    start += part.bytes;
  }
  return new Model(manifest, engine, options);
}
