/**
 * What went wrong, for a program to branch on. The HTTP layer maps each to a status, the command line to an
 * exit code.
 *
 * - `invalid_option`: an argument of the wrong type or out of its range; `param` names it.
 * - `invalid_prompt`: an empty prompt or a token id that the model does not have.
 * - `context_length_exceeded`: the prompt alone, or with the tokens asked for, does not fit.
 * - `invalid_model`: a manifest or weights that are damaged, incomplete or of another version.
 * - `unsupported_model`: a well-formed model that this runtime cannot run, or that does not fit the memory.
 * - `unsupported_runtime`: WebAssembly SIMD is missing.
 * - `overloaded`: no room now; trying again later can help.
 * - `aborted`: the caller's AbortSignal fired.
 * - `disposed`: the model was disposed.
 * - `io`: reading the model's bytes failed; trying again can help.
 */
export type ErrorCode =
  | "invalid_option"
  | "invalid_prompt"
  | "context_length_exceeded"
  | "invalid_model"
  | "unsupported_model"
  | "unsupported_runtime"
  | "overloaded"
  | "aborted"
  | "disposed"
  | "io";

/** Longest message. A name within a file can have megabytes, and line feeds. */
const MAX_MESSAGE = 2000;

/** The same on one line that is not without end. */
function oneLine(message: string): string {
  const short = message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE)}…`;
  return short.replace(/[\n\r\u2028\u2029]+/g, " ");
}

/** The only error that the library throws on purpose. `message` says on one line what was wrong and what to do. */
export class EdgeformerError extends Error {
  override readonly name = "EdgeformerError";
  readonly code: ErrorCode;
  /** The option or field at fault, where there is one. */
  readonly param: string | undefined;

  constructor(code: ErrorCode, message: string, options: { param?: string; cause?: unknown } = {}) {
    super(oneLine(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.param = options.param;
  }
}
