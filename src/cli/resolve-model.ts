import { existsSync } from "node:fs";
import { EdgeformerError } from "../errors.ts";
import { given } from "../given.ts";
import { CATALOGUE, type CatalogueModel, findModelByName } from "../pull/catalogue.ts";
import { type PullOptions, pull } from "../pull/pull.ts";
import type { CliIo } from "./io.ts";
import { ProgressBar } from "./progress.ts";
import { oneLine } from "./terminal.ts";

/** Pulls with a progress bar, and with the hub that the environment names. */
export async function pullForCommand(
  model: CatalogueModel,
  io: CliIo,
  options: Pick<PullOptions, "offline" | "verify" | "signal">,
): Promise<string> {
  const bar = new ProgressBar(io.progress);
  try {
    return await pull(model, {
      ...options,
      ...given({ token: process.env.HF_TOKEN, hubUrl: process.env.HF_ENDPOINT }),
      onProgress: (step, done, total) => bar.update(step, done, total),
      onNote: (message) => {
        bar.clear();
        io.stderr.write(`note: ${oneLine(message)}\n`);
      },
    });
  } finally {
    bar.clear();
  }
}

/**
 * The model directory that a command's argument means: a directory, or the name of a model of the catalogue, which is
 * pulled if it is not in the cache.
 *
 * @throws EdgeformerError `invalid_option` if it is neither; as `pull` does
 */
export async function resolveModel(
  argument: string,
  io: CliIo,
  options: Pick<PullOptions, "offline" | "signal">,
): Promise<string> {
  // What is a path can be no name; whoever opens it says what is wrong with it.
  if (existsSync(argument) || /[\\/]/.test(argument)) return argument;
  const model = findModelByName(argument);
  if (model) return pullForCommand(model, io, options);
  const names = CATALOGUE.map(({ name }) => name).join(", ");
  throw new EdgeformerError(
    "invalid_option",
    `there is no directory ${argument}, and no model of that name; those that have names are ${names}`,
    { param: "model" },
  );
}
