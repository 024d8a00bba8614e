import type { Recipe, TensorSpec } from "../architectures/recipe.ts";
import { alignUp, padded } from "./align.ts";
import { KINDS, type WeightKind } from "./kinds.ts";

/** Every piece of the image starts at a multiple of this: a cache line. */
export const IMAGE_ALIGNMENT = 64;

/** A tensor of the memory image: what it is, how it is stored, and where. */
export interface TensorInfo {
  /** `TensorSpec.name`. */
  name: string;
  kind: WeightKind;
  /** Logical shape, before padding; `columns` is 1 for a vector. */
  rows: number;
  columns: number;
  /** First byte within the image. */
  offset: number;
  /** Bytes from there to the next tensor: its sections and what aligns them. */
  bytes: number;
  /** Largest int16 magnitude of the activations that it is multiplied with, where that depends on its weights. */
  amplitude?: number;
}

/** A stretch of a tensor: its values, its scales, its groups' steps, its bias. */
export interface Section {
  name: "values" | "scales" | "steps" | "bias";
  /** First byte, counted from the tensor's. */
  offset: number;
  bytes: number;
}

/** The sections of a tensor, in the order in which they are stored, and the bytes of all. */
export function sectionsOf(
  { rows, columns, bias }: Pick<TensorSpec, "rows" | "columns" | "bias">,
  kind: WeightKind,
): { sections: Section[]; bytes: number } {
  const sizes: [Section["name"], number][] = [...KINDS[kind].sections(rows, columns)];
  if (bias) sizes.push(["bias", 4 * padded(rows)]);
  let offset = 0;
  const sections = sizes.map(([name, bytes]): Section => {
    const section = { name, offset, bytes };
    offset = alignUp(offset + bytes, IMAGE_ALIGNMENT);
    return section;
  });
  return { sections, bytes: offset };
}

/** The kind that a tensor is stored in when nobody chooses another. */
export function defaultKind({ form }: TensorSpec): WeightKind {
  return form === "matrix" ? "int8" : "float32";
}

/** A recipe's tensors with their places in the memory image, one after another, and the bytes of the whole image. */
export function placeTensors(
  recipe: Recipe,
  kindOf: (tensor: TensorSpec) => WeightKind = defaultKind,
): { tensors: TensorInfo[]; bytes: number } {
  let offset = 0;
  const tensors = recipe.tensors.map((tensor): TensorInfo => {
    const kind = kindOf(tensor);
    const { bytes } = sectionsOf(tensor, kind);
    const placed = { name: tensor.name, kind, rows: tensor.rows, columns: tensor.columns, offset, bytes };
    offset += bytes;
    return placed;
  });
  return { tensors, bytes: offset };
}

/** What is needed to lay out memory for a model: what it is, and how its tensors are stored. */
export interface ModelLayout {
  recipe: Recipe;
  tensors: TensorInfo[];
}

/** Bytes of the memory image. */
export function imageBytes({ tensors }: ModelLayout): number {
  const last = tensors.at(-1);
  return last === undefined ? 0 : last.offset + last.bytes;
}
