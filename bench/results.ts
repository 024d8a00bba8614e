// The results that are kept in the tree: every figure and picture of the documentation is made from them.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ColdResults } from "./growth/cold-results.ts";
import type { GrowthResults } from "./growth/results.ts";
import type { KernelResults } from "./kernel-results.ts";
import type { PeerResults } from "./peers-results.ts";
import type { SmolResults } from "./peers-smollm2-results.ts";
import type { ProfileResults } from "./profile-results.ts";
import type { ServingResults } from "./serving/results.ts";
import type { EngineResults } from "./tasks.ts";

export interface Results {
  engine: EngineResults;
  peers: PeerResults;
  "peers-smollm2": SmolResults;
  growth: GrowthResults;
  cold: ColdResults;
  kernels: KernelResults;
  profile: ProfileResults;
  serving: ServingResults;
}

export const RESULTS = fileURLToPath(new URL("results/", import.meta.url));

export function loadResult<Name extends keyof Results>(name: Name): Results[Name] {
  return JSON.parse(readFileSync(`${RESULTS}${name}.json`, "utf8")) as Results[Name];
}

export function saveResult<Name extends keyof Results>(name: Name, result: Results[Name]): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}${name}.json`, `${JSON.stringify(result, (_, value) => rounded(value), 1)}\n`);
}

/** Five significant digits: more than any of these figures has. */
function rounded(value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(5)) : value;
}

export function loadResults(): Results {
  return {
    engine: loadResult("engine"),
    peers: loadResult("peers"),
    "peers-smollm2": loadResult("peers-smollm2"),
    growth: loadResult("growth"),
    cold: loadResult("cold"),
    kernels: loadResult("kernels"),
    profile: loadResult("profile"),
    serving: loadResult("serving"),
  };
}
