import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadResults, type Results } from "../results.ts";
import { coldPlots, coldSection } from "./cold.ts";
import { enginePlots, engineSection, engineTargets } from "./engine.ts";
import { fillBlocks } from "./fill-blocks.ts";
import { contextSection, growthPlots, sequencesSection, sizesSection } from "./growth.ts";
import { table } from "./markdown.ts";
import { peerPlots, peerSection, peerTargets } from "./peers.ts";
import { kernelsSection, prefillLimit, profileSection, rowsLimit } from "./performance.ts";
import { speedTable } from "./readme.ts";
import { servingSection, servingTargets } from "./serving.ts";
import { smolPlots, smolSection, smolSpeedTable, smolTargets } from "./smollm2.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Pages with blocks that are written here. */
const PAGES = ["README.md", "docs/benchmarks.md", "docs/performance.md", "docs/serving.md"];

/** The blocks of all pages by name. */
function blocksOf({
  engine,
  peers,
  "peers-smollm2": smollm2,
  growth,
  cold,
  kernels,
  profile,
  serving,
}: Results): Record<string, string> {
  const targets = [
    ...smolTargets(smollm2),
    ...peerTargets(peers),
    ...engineTargets(engine),
    ...servingTargets(serving),
  ];
  return {
    targets: table(["target", "asked", "measured", "met"], targets),
    peers: peerSection(peers),
    smollm2: smolSection(smollm2),
    engine: engineSection(engine),
    "growth-context": contextSection(growth),
    "growth-sequences": sequencesSection(growth),
    "growth-sizes": sizesSection(growth),
    cold: coldSection(cold),
    kernels: kernelsSection(kernels),
    profile: profileSection(profile),
    "prefill-limit": prefillLimit(kernels, engine, peers),
    "rows-limit": rowsLimit(kernels, growth),
    serving: servingSection(serving),
    speed: speedTable(peers),
    "smollm2-speed": smolSpeedTable(smollm2),
  };
}

/** Every file that the report writes, by its path, as it is to be. */
export function reportFiles(results: Results): Record<string, string> {
  const plots = {
    ...smolPlots(results["peers-smollm2"]),
    ...peerPlots(results.peers),
    ...enginePlots(results.engine),
    ...growthPlots(results.growth),
    ...coldPlots(results.cold),
  };
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
