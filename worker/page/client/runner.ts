// The Web Worker of "Run in this browser". It runs the endpoint's engine with the endpoint's weights.
import { ChatTemplate, encodeChat } from "../../../src/chat.ts";
import { compileConstraint } from "../../../src/constrain/index.ts";
import { EdgeformerError, fetchSource, loadModel, type Model } from "../../../src/index.ts";
import { askedFormat } from "../../openai/wire/asked-format.ts";
import { Choice } from "../../openai/wire/choice.ts";
import { generateOptions } from "../../openai/wire/generate-options.ts";
import { withoutEnd } from "./chat-delta.ts";
import type { ChatFields, PageRequest } from "./page-request.ts";
import type { FromRunner, ToRunner } from "./runner-messages.ts";

interface Scope {
  onmessage: ((event: MessageEvent<ToRunner>) => void) | null;
}

type Answer = (message: FromRunner) => void;

const scope = globalThis as unknown as Scope;
let loaded: Model | undefined;

/** Lets messages in between two steps. A nested zero timeout would cost 4 ms in every browser. */
function pauses(): () => Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return () =>
    new Promise((resolve) => {
      port1.onmessage = () => resolve();
      port2.postMessage(null);
    });
}

async function load(context: number, answer: Answer): Promise<void> {
  loaded = await loadModel({
    module: await WebAssembly.compileStreaming(fetch("/page/engine.wasm")),
    source: fetchSource(new URL("/page/model/", location.origin)),
    context,
    maxSequences: 1,
    pause: pauses(),
    onProgress: (loadedBytes, totalBytes) => answer({ type: "progress", loadedBytes, totalBytes }),
  });
}

/** A conversation's token ids, by the same template as the endpoint's. */
function encodeMessages(
  { manifest, tokenizer }: Model,
  { messages, chat_template_date: date }: ChatFields,
): number[] {
  if (manifest.chat_template === undefined || !tokenizer) throw new Error("this model does not chat");
  const values = { messages, ...(date === undefined ? {} : { date: new Date(date) }) };
  return encodeChat(tokenizer, new ChatTemplate(manifest.chat_template), values);
}

async function generate(request: PageRequest, answer: Answer, signal: AbortSignal): Promise<void> {
  if (!loaded) throw new Error("the model is not loaded");
  const choice = new Choice(loaded.tokenizer, true);
  const isChat = "messages" in request;
  const form = isChat ? askedFormat(request.response_format) : undefined;
  const options = {
    ...generateOptions(request),
    maxTokens: isChat ? request.max_completion_tokens : request.max_tokens,
    logprobs: isChat ? request.top_logprobs : request.logprobs,
    constraint: form && compileConstraint(form.source, form.options),
    signal,
  };
  const prompt = isChat ? encodeMessages(loaded, request) : request.prompt;
  for await (const chunk of loaded.generate(prompt, options)) {
    const delta = choice.add(chunk);
    answer({ type: "delta", delta: isChat ? withoutEnd(delta) : delta });
  }
}

scope.onmessage = async ({ data, ports }) => {
  const port = ports[0]!;
  const answer: Answer = (message) => port.postMessage(message);
  const stop = new AbortController();
  port.onmessage = () => stop.abort();
  try {
    if (data.type === "load") await load(data.context, answer);
    else await generate(data.request, answer, stop.signal);
    answer({ type: "end" });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const { code = null, param = null } = error instanceof EdgeformerError ? error : {};
    answer({ type: "failed", message, code, param });
  }
};
