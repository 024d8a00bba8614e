import type { Delta } from "../../openai/wire/choice.ts";
import type { PageRequest } from "./page-request.ts";

/** To the Web Worker that runs the model, each with a port for what it answers. */
export type ToRunner = { type: "load"; context: number } | { type: "generate"; request: PageRequest };

/** Through the port. Whatever comes back through it stops the generation. */
export type FromRunner =
  | { type: "progress"; loadedBytes: number; totalBytes: number }
  | { type: "delta"; delta: Delta }
  | { type: "end" }
  /** `code` and `param` are the core's, where the core refused. */
  | { type: "failed"; message: string; code: string | null; param: string | null };
