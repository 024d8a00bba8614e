import type { Dialect } from "./dialect.ts";
import { gptNeoDialect } from "./gpt-neo.ts";
import { gpt2Dialect } from "./gpt2.ts";
import { llamaDialect } from "./llama.ts";

/** The dialects of Hugging Face's checkpoints. A new one is a file of this folder and a line here. */
const DIALECTS: readonly Dialect[] = [gpt2Dialect, gptNeoDialect, llamaDialect];

/** How Hugging Face's checkpoints of an architecture are written. */
export function dialectOf(architecture: string): Dialect {
  const dialect = DIALECTS.find(({ architectures }) => architectures.includes(architecture));
  if (dialect === undefined) throw new TypeError(`there is no dialect for ${architecture}`);
  return dialect;
}
