import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { placeTensors, sectionsOf, type TensorInfo } from "../../format/layout.ts";
import { MAX_PART_BYTES, type PartInfo } from "../../format/manifest.ts";
import { type QuantizedRows, quantizeRows } from "../quantize/int8.ts";
import type { Weights } from "../weights.ts";
import { packMatrix, SLICE_ROWS } from "./pack.ts";

export type Quantizer = (weights: Float32Array, rows: number, columns: number) => QuantizedRows;

/** Writes a stream of bytes into files of at most `maxBytes`, each with its SHA-256. */
class PartWriter {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #parts: PartInfo[] = [];
  #file: FileHandle | undefined;
  #hash: Hash | undefined;
  #bytes = 0;

  constructor(directory: string, maxBytes: number) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      if (this.#file === undefined) {
        this.#file = await open(join(this.#directory, this.#name()), "wx");
        this.#hash = createHash("sha256");
        this.#bytes = 0;
      }
      const piece = bytes.subarray(done, done + this.#maxBytes - this.#bytes);
      for (let written = 0; written < piece.length; )
        written += (await this.#file.write(piece, written)).bytesWritten;
      this.#hash?.update(piece);
      this.#bytes += piece.length;
      done += piece.length;
      if (this.#bytes === this.#maxBytes) await this.#finish();
    }
  }

  #name(): string {
    return `weights.${String(this.#parts.length).padStart(2, "0")}.bin`;
  }

  async #finish(): Promise<void> {
    if (this.#file === undefined || this.#hash === undefined) return;
    const part = { file: this.#name(), bytes: this.#bytes, sha256: this.#hash.digest("hex") };
    await this.#file.sync();
    await this.#file.close();
    this.#file = undefined;
    this.#parts.push(part);
  }

  async end(): Promise<PartInfo[]> {
    await this.#finish();
    return this.#parts;
  }

  /** Closes without finishing, after a failure. */
  async abandon(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}

function littleEndian(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/**
 * Quantizes, packs and writes every tensor as `placeTensors` places it, at most SLICE_ROWS rows at a time.
 *
 * @param onProgress called with the bytes of the image written so far
 */
export async function writeImage(
  directory: string,
  weights: Weights,
  options: {
    quantize?: Quantizer;
    maxPartBytes?: number;
    onProgress?: (bytes: number, total: number) => void;
  } = {},
): Promise<{ tensors: TensorInfo[]; parts: PartInfo[] }> {
  const quantize = options.quantize ?? quantizeRows;
  const layout = placeTensors(weights.recipe);
  const writer = new PartWriter(directory, options.maxPartBytes ?? MAX_PART_BYTES);
  let position = 0;
  const write = async (bytes: Uint8Array) => {
    await writer.write(bytes);
    position += bytes.length;
    options.onProgress?.(position, layout.bytes);
  };
  const fillTo = (offset: number) => write(new Uint8Array(offset - position));
  /** Writes the packed values, slice by slice; gives the rows' scales. */
  const writeMatrix = async (name: string): Promise<Float32Array> => {
    const matrix = await weights.matrix(name);
    const { rows, columns } = matrix;
    const scales = new Float32Array(rows);
    for (let first = 0; first < rows; first += SLICE_ROWS) {
      const count = Math.min(SLICE_ROWS, rows - first);
      const quantized = quantize(await matrix.read(first, count), count, columns);
      scales.set(quantized.scales, first);
      await write(packMatrix(quantized.values, count, columns));
    }
    return scales;
  };
  try {
    for (const [i, tensor] of weights.recipe.tensors.entries()) {
      const { name, form } = tensor;
      const { kind, offset, bytes } = layout.tensors[i]!;
      let scales: Float32Array | undefined;
      for (const section of sectionsOf(tensor, kind).sections) {
        await fillTo(offset + section.offset);
        if (section.name === "bias") await write(littleEndian(await weights.bias(name)));
        else if (form === "vector") await write(littleEndian(await weights.vector(name)));
        else if (section.name === "values") scales = await writeMatrix(name);
        else await write(littleEndian(scales!));
      }
      await fillTo(offset + bytes);
    }
    return { tensors: layout.tensors, parts: await writer.end() };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}
