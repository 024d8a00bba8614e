// The results that are kept in the tree: every figure and picture of the documentation is made from them.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { PeerResults } from "./peers-results.ts";
import type { EngineResults } from "./tasks.ts";

export interface Results {
  engine: EngineResults;
  peers: PeerResults;
}

const DIRECTORY = fileURLToPath(new URL("results/", import.meta.url));

export function loadResult<Name extends keyof Results>(name: Name): Results[Name] {
  return JSON.parse(readFileSync(`${DIRECTORY}${name}.json`, "utf8")) as Results[Name];
}

export function saveResult<Name extends keyof Results>(name: Name, result: Results[Name]): void {
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(`${DIRECTORY}${name}.json`, `${JSON.stringify(result, (_, value) => rounded(value), 1)}\n`);
}

/** Five significant digits: more than any of these figures has. */
function rounded(value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(5)) : value;
}

export function loadResults(): Results {
  return { engine: loadResult("engine"), peers: loadResult("peers") };
}
