import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, loadavg, release, totalmem, type } from "node:os";

/** Something to measure once per round. */
export interface Case {
  label: string;
  measure: () => Promise<number>;
}

/**
 * Measures every case once per round: whatever the machine does meanwhile (its clock, its neighbours) befalls all
 * of them alike, so that ratios of medians hold where absolute figures drift.
 */
export async function alternate(cases: Case[], rounds: number): Promise<Map<string, number[]>> {
  const samples = new Map(cases.map(({ label }): [string, number[]] => [label, []]));
  const started = performance.now();
  for (let round = 0; round <= rounds; round++) {
    for (const { label, measure } of cases) {
      const value = await measure();
      // The first round warms everything up.
      if (round > 0) samples.get(label)!.push(value);
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    console.error(`round ${round} of ${rounds} (${seconds} s)`);
  }
  return samples;
}

/**
 * Keeps this process and those that it starts on one processor: what is measured in turns never runs at the same
 * time, and on a shared machine one processor has a busier neighbour than another. Unpinned, workerd took up to
 * 1.8 times as long as Node where it takes 1.1 times as long on the same processor.
 *
 * @returns whether the system has a command for it
 */
export function pinToOneProcessor(): boolean {
  try {
    execFileSync("taskset", ["-acp", String(cpus().length - 1), String(process.pid)], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  os: string;
  /** Runnable processes in the minute before the end; the benchmark itself is one. */
  load: number;
  versions: Record<string, string>;
  date: string;
}

/** The machine and the versions of what was measured, for the record. */
export function machine(packages: string[]): Machine {
  const require = createRequire(import.meta.url);
  const versionOf = (name: string) => {
    // Not every package exports its package.json: the file is looked up where Node looks for packages.
    for (const directory of require.resolve.paths(name) ?? []) {
      try {
        return (JSON.parse(readFileSync(`${directory}/${name}/package.json`, "utf8")) as { version: string })
          .version;
      } catch {}
    }
    throw new Error(`${name} is not installed: run npm ci in bench/`);
  };
  const versions: Record<string, string> = { node: process.versions.node, v8: process.versions.v8 };
  for (const name of packages) versions[name] = versionOf(name);
  try {
    versions.edgeformer = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    versions.edgeformer = "unknown";
  }
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release()}`,
    load: loadavg()[0]!,
    versions,
    date: new Date().toISOString().slice(0, 10),
  };
}
