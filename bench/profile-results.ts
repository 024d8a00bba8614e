// What `npm run profile` keeps.
import type { Machine } from "./measure.ts";

export interface ProfileColumn {
  what: string;
  /** Microseconds of a token. */
  total: number;
  /** The same by operation. */
  operations: Record<string, number>;
}

export interface ProfileResults {
  machine: Machine;
  shapes: Record<
    string,
    {
      columns: ProfileColumn[];
      /** Bytes of weights that a step reads, and bytes per second of reading as many. */
      readBytes: number;
      bandwidth: number;
    }
  >;
}
