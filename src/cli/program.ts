import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { EdgeformerError } from "../errors.ts";
import { chatCommand } from "./chat-command.ts";
import { convertCommand } from "./convert-command.ts";
import { describeError } from "./describe-error.ts";
import { generateCommand } from "./generate-command.ts";
import { inspectCommand } from "./inspect-command.ts";
import type { CliIo, CliStreams } from "./io.ts";
import { pullCommand } from "./pull-command.ts";
import { scoreCommand } from "./score-command.ts";
import { serveCommand } from "./serve-command.ts";
import { splitCommand } from "./split-command.ts";
import { commandIo, oneLine } from "./terminal.ts";

/** Errors of the caller's making: exit code 2. */
const USAGE_CODES = new Set(["invalid_option", "invalid_prompt"]);

function version(): string {
  return (createRequire(import.meta.url)("edgeformer/package.json") as { version: string }).version;
}

/** `command` and its subcommands throw instead of exiting, and write to `io`. */
function redirect(command: Command, io: CliIo): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => io.stdout.write(text),
    writeErr: (text) => io.stderr.write(text),
  });
  for (const child of command.commands) redirect(child, io);
}

function buildProgram(io: CliIo, signal: AbortSignal | undefined): Command {
  const program = new Command("edgeformer")
    .description("small language models in a WebAssembly isolate")
    .version(version())
    .showHelpAfterError("(--help shows what there is)")
    .addCommand(pullCommand(io, signal))
    .addCommand(convertCommand(io, signal))
    .addCommand(inspectCommand(io, signal))
    .addCommand(generateCommand(io, signal))
    .addCommand(chatCommand(io, signal))
    .addCommand(serveCommand(io, signal))
    .addCommand(scoreCommand(io, signal))
    .addCommand(splitCommand(io));
  redirect(program, io);
  return program;
}

/**
 * Runs one command line.
 *
 * @param args without the program's name
 * @param signal ends the command early
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage
 */
export async function run(args: string[], streams: CliStreams, signal?: AbortSignal): Promise<number> {
  const io = commandIo(streams);
  try {
    await buildProgram(io, signal).parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    io.stderr.write(`edgeformer: ${oneLine(describeError(error))}\n`);
    return error instanceof EdgeformerError && USAGE_CODES.has(error.code) ? 2 : 1;
  }
}
