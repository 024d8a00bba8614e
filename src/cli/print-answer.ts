import type { GenerateChunk } from "../results.ts";
import type { CliIo } from "./io.ts";

/** What a generation gave, put together. */
export class Answer {
  text = "";
  readonly ids: number[] = [];
  #last: GenerateChunk | undefined;
  readonly #started = performance.now();
  #first = 0;
  #latest = 0;

  add(chunk: GenerateChunk): void {
    this.text += chunk.text;
    this.ids.push(...chunk.ids);
    this.#last = chunk;
    this.#latest = performance.now();
    if (this.#first === 0) this.#first = this.#latest;
  }

  /** Whether the most tokens that it could have are reached. */
  get isCut(): boolean {
    return this.#last?.finishReason === "length";
  }

  /** What --json prints. */
  get report(): object {
    const { finishReason = null, usage } = this.#last ?? {};
    return {
      text: this.text,
      ids: this.ids,
      finish_reason: finishReason,
      usage: { prompt_tokens: usage?.promptTokens ?? 0, completion_tokens: usage?.completionTokens ?? 0 },
    };
  }

  /** "24 tokens, 51.2 tokens/s, the first after 180 ms" */
  get speed(): string {
    const tokens = this.ids.length;
    const seconds = (this.#latest - this.#first) / 1000;
    const rate = tokens > 1 && seconds > 0 ? `, ${((tokens - 1) / seconds).toFixed(1)} tokens/s` : "";
    const wait = tokens > 0 ? `, the first after ${Math.round(this.#first - this.#started)} ms` : "";
    return `${tokens} ${tokens === 1 ? "token" : "tokens"}${rate}${wait}`;
  }
}

/** Streams an answer to standard output, or prints it as one line of JSON at its end. */
export async function printAnswer(
  chunks: AsyncIterable<GenerateChunk>,
  io: CliIo,
  json: boolean,
  onFirst: () => void = () => {},
): Promise<Answer> {
  const answer = new Answer();
  let begun = false;
  for await (const chunk of chunks) {
    if (!begun) onFirst();
    begun = true;
    answer.add(chunk);
    if (!json) io.text.write(chunk.text);
  }
  if (json) io.stdout.write(`${JSON.stringify(answer.report)}\n`);
  else io.text.write("\n");
  return answer;
}
