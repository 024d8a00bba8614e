import type { Delta } from "../../openai/wire/choice.ts";
import type { PageRequest } from "./page-request.ts";

/** To the Web Worker that runs the model. */
export type ToRunner =
  | { type: "load"; context: number }
  | { type: "generate"; run: number; request: PageRequest }
  | { type: "stop"; run: number };

/** From it; `run` is the number that the generation was started with. */
export type FromRunner =
  | { type: "progress"; loadedBytes: number; totalBytes: number }
  | { type: "ready"; memoryBytes: number }
  | { type: "failed"; message: string }
  | { type: "delta"; run: number; delta: Delta }
  | { type: "end"; run: number; error?: string };
