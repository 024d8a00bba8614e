import { type ChainOptions, planChain } from "../../chain/plan.ts";
import { EdgeformerError } from "../../errors.ts";
import type { Manifest } from "../../format/manifest.ts";
import { loadManifest } from "../../loading/load.ts";
import { directorySource } from "../../node/index.ts";
import { contents, writeAside } from "../write/output.ts";
import { cutModel } from "./cut-model.ts";
import { writeProject } from "./project.ts";

/** Refuses an output directory with something in it. */
async function requireEmpty(out: string): Promise<void> {
  const files = await contents(out);
  if (files !== undefined && files.length > 0)
    throw new EdgeformerError("invalid_option", `${out} is not empty; choose another --out`, {
      param: "out",
    });
}

/**
 * Shares a model directory out over isolates: plans the stages, and writes the model directory and the Worker of each.
 *
 * @param out a directory that does not exist or is empty
 * @throws EdgeformerError `unsupported_model` when it does not fit, `invalid_option`, `invalid_model`
 */
export async function split(directory: string, out: string, options: ChainOptions = {}): Promise<Manifest> {
  const source = directorySource(directory);
  const manifest = await loadManifest(source);
  const plan = planChain(manifest, options);
  await requireEmpty(out);
  return writeAside(out, false, async (aside) => {
    const cut = await cutModel(source, manifest, plan, aside);
    await writeProject(aside, manifest.name, plan.cuts.length + 1);
    return cut;
  });
}
