// What `npm run kernels` keeps.
import type { Machine } from "./measure.ts";

export interface KernelFigure {
  /** Weights of the matrix: one million stays in the cache. */
  weights: number;
  columns: number;
  rows: number;
  kind: string;
  /** Billions of products a second. */
  rate: number;
}

export interface KernelResults {
  machine: Machine;
  /** Billions of products a second of the multiplication as such. */
  peak: number;
  figures: KernelFigure[];
}
