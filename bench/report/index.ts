import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadResults, type Results } from "../results.ts";
import { enginePlots, engineSection, engineTargets } from "./engine.ts";
import { fillBlocks } from "./fill-blocks.ts";
import { table } from "./markdown.ts";
import { peerPlots, peerSection, peerTargets } from "./peers.ts";
import { speedTable } from "./readme.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Pages with blocks that are written here. */
const PAGES = ["README.md", "docs/benchmarks.md"];

/** The blocks of all pages by name. */
function blocksOf({ engine, peers }: Results): Record<string, string> {
  const targets = [...peerTargets(peers), ...engineTargets(engine)];
  return {
    targets: table(["target", "asked", "measured", "met"], targets),
    peers: peerSection(peers),
    engine: engineSection(engine),
    speed: speedTable(peers),
  };
}

/** Every file that the report writes, by its path, as it is to be. */
export function reportFiles(results: Results): Record<string, string> {
  const plots = { ...peerPlots(results.peers), ...enginePlots(results.engine) };
  const blocks = blocksOf(results);
  return {
    ...Object.fromEntries(Object.entries(plots).map(([name, svg]) => [`docs/benchmarks-${name}.svg`, svg])),
    ...Object.fromEntries(
      PAGES.map((page) => [page, fillBlocks(page, readFileSync(ROOT + page, "utf8"), blocks)]),
    ),
  };
}

/** Writes all figures and pictures of the documentation from the results that are kept. */
export function writeReport(): void {
  for (const [path, content] of Object.entries(reportFiles(loadResults())))
    writeFileSync(ROOT + path, content);
}
