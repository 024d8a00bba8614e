import { run } from "../../src/cli/program.ts";

export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs one command line in this process. */
export async function cli(args: string[], signal?: AbortSignal): Promise<CliResult> {
  let [stdout, stderr] = ["", ""];
  const code = await run(
    args,
    {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
    },
    signal,
  );
  return { code, stdout, stderr };
}
