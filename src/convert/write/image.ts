import type { TensorSpec } from "../../architectures/recipe.ts";
import { KINDS } from "../../format/kinds.ts";
import { placeTensors, sectionsOf, type TensorInfo } from "../../format/layout.ts";
import { MAX_PART_BYTES, type PartInfo } from "../../format/manifest.ts";
import { amplitudeOf, groupsOf, largestRowSum } from "../quantize/codes.ts";
import { plainRounding, type RoundedRows, type Rounding } from "../quantize/rounding.ts";
import type { Matrix, Weights } from "../weights.ts";
import { packMatrix, packSteps, SLICE_ROWS } from "./pack.ts";
import { packFourBit } from "./pack4.ts";
import { PartWriter } from "./part-writer.ts";

function littleEndian(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** A matrix, packed slice by slice; what belongs to its rows is gathered. */
class MatrixEncoder {
  readonly #columns: number;
  readonly #scales: Float32Array;
  readonly #steps: Uint8Array[] = [];
  #rowSum = 0;

  constructor({ rows, columns }: Matrix) {
    this.#columns = columns;
    this.#scales = new Float32Array(rows);
  }

  /** The packed values of the next slice: a multiple of SLICE_ROWS rows, but for the last. */
  values(rounded: RoundedRows, first: number, count: number): Uint8Array {
    this.#scales.set(rounded.scales, first);
    if (rounded.kind === "int8") return packMatrix(rounded.values, count, this.#columns);
    this.#rowSum = Math.max(this.#rowSum, largestRowSum(rounded, this.#columns));
    if (rounded.kind === "four-bit") return packFourBit(rounded, count, this.#columns);
    this.#steps.push(packSteps(rounded.steps, count, groupsOf(this.#columns)));
    return packMatrix(rounded.codes, count, this.#columns);
  }

  /** What follows the values. */
  section(name: "scales" | "steps"): Uint8Array[] {
    return name === "scales" ? [littleEndian(this.#scales)] : this.#steps;
  }

  get amplitude(): number {
    return amplitudeOf(this.#rowSum);
  }
}

/**
 * Rounds, packs and writes every tensor as `placeTensors` places it, at most SLICE_ROWS rows at a time.
 *
 * @param onProgress called with the bytes of the image written so far
 */
export async function writeImage(
  directory: string,
  weights: Weights,
  options: {
    rounding?: Rounding;
    maxPartBytes?: number;
    onProgress?: (bytes: number, total: number) => void;
  } = {},
): Promise<{ tensors: TensorInfo[]; parts: PartInfo[] }> {
  const { rounding = plainRounding } = options;
  const layout = placeTensors(weights.recipe, (tensor) => rounding.kindOf(tensor));
  const writer = new PartWriter(directory, options.maxPartBytes ?? MAX_PART_BYTES);
  let position = 0;
  const write = async (bytes: Uint8Array) => {
    await writer.write(bytes);
    position += bytes.length;
    options.onProgress?.(position, layout.bytes);
  };
  const fillTo = (offset: number) => write(new Uint8Array(offset - position));
  const writeValues = async (tensor: TensorSpec): Promise<MatrixEncoder> => {
    const matrix = await weights.matrix(tensor.name);
    const encoder = new MatrixEncoder(matrix);
    for (let first = 0; first < matrix.rows; first += SLICE_ROWS) {
      const count = Math.min(SLICE_ROWS, matrix.rows - first);
      await write(encoder.values(await rounding.round(tensor, matrix, first, count), first, count));
    }
    return encoder;
  };
  try {
    for (const [i, tensor] of weights.recipe.tensors.entries()) {
      const { name, form } = tensor;
      const placed = layout.tensors[i]!;
      let encoder: MatrixEncoder | undefined;
      for (const section of sectionsOf(tensor, placed.kind).sections) {
        await fillTo(placed.offset + section.offset);
        if (section.name === "bias") await write(littleEndian(await weights.bias(name)));
        else if (form === "vector") await write(littleEndian(await weights.vector(name)));
        else if (section.name === "values") encoder = await writeValues(tensor);
        else for (const bytes of encoder!.section(section.name)) await write(bytes);
      }
      if (KINDS[placed.kind].amplitude === undefined) placed.amplitude = encoder!.amplitude;
      await fillTo(placed.offset + placed.bytes);
    }
    return { tensors: layout.tensors, parts: await writer.end() };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}
