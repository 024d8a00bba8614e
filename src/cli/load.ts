import { EdgeformerError } from "../errors.ts";
import { given } from "../given.ts";
import type { Model } from "../model.ts";
import { bundledModel, openModel } from "../node/index.ts";
import type { CliIo } from "./io.ts";
import { ProgressBar } from "./progress.ts";
import { resolveModel } from "./resolve-model.ts";

/** Opens the model that --model means (see resolveModel), or the bundled story model. */
export async function loadForCommand(
  argument: string | undefined,
  io: CliIo,
  signal: AbortSignal | undefined,
): Promise<Model> {
  const directory =
    argument === undefined ? bundledModel() : await resolveModel(argument, io, given({ signal }));
  const bar = new ProgressBar(io.progress);
  try {
    return await openModel(directory, {
      maxSequences: 1,
      onProgress: (done, total) => bar.update("loading", done, total),
      ...(signal === undefined ? {} : { signal }),
    });
  } finally {
    bar.clear();
  }
}

/**
 * The prompt of a command: its argument or the ids of --tokens, exactly one of them.
 *
 * @throws EdgeformerError `invalid_option`
 */
export function textOrTokens(text: string | undefined, tokens: number[] | undefined): string | number[] {
  if ((text === undefined) === (tokens === undefined))
    throw new EdgeformerError("invalid_option", "give either a text or --tokens", { param: "tokens" });
  return text ?? (tokens as number[]);
}
