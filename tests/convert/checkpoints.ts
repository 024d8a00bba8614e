import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { ConfigFields } from "../../src/architectures/config-fields.ts";
import { recipeOf } from "../../src/architectures/index.ts";
import { dialectOf } from "../../src/convert/dialects/index.ts";
import { openCheckpoint } from "../../src/convert/formats/open.ts";
import { localSource, readJson } from "../../src/convert/inputs/files.ts";
import { adaptedConfig, mergeLora, openAdapter } from "../../src/convert/lora.ts";
import { type QuantizedRows, quantizeRows } from "../../src/convert/quantize/int8.ts";
import { openWeights, type Weights } from "../../src/convert/weights.ts";

/** A directory of this test file's own, removed at the end. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "edgeformer-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A checkpoint's weights, with the adapter in another directory, or in its folder `adapter`, if there is one. */
export async function weightsOf(directory: string, adapterAt = join(directory, "adapter")): Promise<Weights> {
  const source = (await localSource(directory))!;
  const config = (await readJson(source, "config.json")) as Record<string, unknown>;
  const recipe = recipeOf(new ConfigFields(config));
  const dialect = dialectOf(recipe.architecture);
  const { checkpoint } = await openCheckpoint(source);
  const adapterSource = await localSource(adapterAt);
  if (!adapterSource) return openWeights(checkpoint, config, dialect);
  const adapter = await openAdapter(adapterSource);
  const adapted = adaptedConfig(config, adapter, dialect, recipe);
  return openWeights(await mergeLora(checkpoint, adapter, dialect, recipe), adapted, dialect);
}

type Quantizer = (weights: Float32Array, rows: number, columns: number) => QuantizedRows;

/** The same weights after a round trip through int8, everything else exact: what rounding alone costs. */
export function roundedWeights(weights: Weights, quantize: Quantizer = quantizeRows): Weights {
  return {
    ...weights,
    async matrix(name) {
      const matrix = await weights.matrix(name);
      return {
        ...matrix,
        async read(first, count) {
          const { values, scales } = quantize(await matrix.read(first, count), count, matrix.columns);
          return Float32Array.from(values, (value, i) => value * scales[Math.floor(i / matrix.columns)]!);
        },
      };
    },
  };
}

export interface RawTensor {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

/** A safetensors file of these tensors, or with another header. */
export function safetensorsFile(tensors: Record<string, RawTensor>, header?: unknown): Buffer {
  let offset = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const data_offsets = [offset, (offset += bytes.length)];
    return [name, { dtype, shape, data_offsets }];
  });
  const json = Buffer.from(JSON.stringify(header ?? Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...Object.values(tensors).map(({ bytes }) => bytes)]);
}

/** The tensors of a safetensors file. */
export function rawTensors(file: Buffer): Record<string, RawTensor> {
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const { __metadata__, ...tensors } = header;
  return Object.fromEntries(
    Object.entries(tensors).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => [name, { dtype, shape, bytes: Uint8Array.from(file.subarray(start + begin, start + end)) }],
    ),
  );
}
