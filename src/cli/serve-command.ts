import { once } from "node:events";
import { Command } from "commander";
import { serveModel } from "../../worker/node/serve.ts";
import { given } from "../given.ts";
import { loadManifest } from "../loading/load.ts";
import { bundledModel, directorySource } from "../node/index.ts";
import { DEFAULT_MODEL, modelByName } from "../pull/catalogue.ts";
import { describeError } from "./describe-error.ts";
import type { CliIo } from "./io.ts";
import { parsePort } from "./parse.ts";
import { pullForCommand, resolveModel } from "./resolve-model.ts";
import { oneLine } from "./terminal.ts";

const EXAMPLES = `
Examples:
  $ edgeformer serve
  $ edgeformer serve --model models/my-llama --port 9000
  $ API_KEYS=sk-mine edgeformer serve --host 0.0.0.0

Environment: API_KEYS, the keys that clients must send, and every other variable
of docs/api.md. A line of JSON for each request goes to standard output.`;

interface ServeFlags {
  model?: string;
  port: number;
  host: string;
  offline?: boolean;
}

interface Chosen {
  directory: string;
  /** The model that should have been served. */
  standInFor?: string;
}

/** The model to serve: what --model means, or the default one, or the bundled one where that cannot be had. */
async function chooseModel(
  { model, offline = false }: ServeFlags,
  io: CliIo,
  signal: AbortSignal | undefined,
): Promise<Chosen> {
  if (model !== undefined)
    return { directory: await resolveModel(model, io, { offline, ...given({ signal }) }) };
  try {
    return {
      directory: await pullForCommand(modelByName(DEFAULT_MODEL), io, { offline, ...given({ signal }) }),
    };
  } catch (error) {
    if (signal?.aborted) throw error;
    io.stderr.write(`note: ${oneLine(describeError(error))}\n`);
    io.stderr.write(
      `note: serving the bundled story model instead; "edgeformer pull" fetches ${DEFAULT_MODEL} once the trouble is over\n`,
    );
    return { directory: bundledModel(), standInFor: DEFAULT_MODEL };
  }
}

/** A call that shows what the model does. */
function exampleCall(origin: string, chats: boolean): string {
  const [path, body] = chats
    ? [
        "/v1/chat/completions",
        '{"messages": [{"role": "user", "content": "Why is the sky blue?"}], "stream": true}',
      ]
    : ["/v1/completions", '{"prompt": "Once upon a time", "max_tokens": 120, "stream": true}'];
  return `curl -N ${origin}${path} -d '${body}'`;
}

async function serve(flags: ServeFlags, io: CliIo, signal: AbortSignal | undefined): Promise<void> {
  const { directory, standInFor } = await chooseModel(flags, io, signal);
  const { name, chat_template } = await loadManifest(directorySource(directory));
  const { origin, stop } = await serveModel({
    directory,
    host: flags.host,
    port: flags.port,
    variables: { ...process.env, ...given({ STAND_IN_FOR: standInFor }) },
  });
  io.stderr.write(
    `${oneLine(name)} is served at ${origin} (Ctrl-C ends it). Open it in a browser, or try:\n  ${exampleCall(origin, chat_template !== undefined)}\n`,
  );
  try {
    if (signal && !signal.aborted) await once(signal, "abort");
  } finally {
    await stop();
  }
}

export function serveCommand(io: CliIo, signal?: AbortSignal): Command {
  return new Command("serve")
    .description("an OpenAI-compatible endpoint and its page, on plain Node.js")
    .option("--model <model>", `a model directory or a name that \`pull\` knows (default: ${DEFAULT_MODEL})`)
    .option("--port <n>", "0 takes a free one", parsePort, 8787)
    .option("--host <address>", "where to listen; 0.0.0.0 lets other machines in", "127.0.0.1")
    .option("--offline", "fetch nothing")
    .addHelpText("after", EXAMPLES)
    .action((flags: ServeFlags) => serve(flags, io, signal));
}
