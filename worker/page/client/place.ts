import type { Delta } from "../../openai/wire/choice.ts";
import { generateOnServer } from "./endpoint.ts";
import type { PageRequest } from "./page-request.ts";

/** Streams the text that a request asks for. */
export type Generate = (request: PageRequest, signal: AbortSignal) => AsyncIterable<Delta>;

/** Where a text is written. */
export interface Place {
  name: "the server" | "this browser";
  generate: Generate;
  /**
   * Compares what was written here with what the server writes, and says in an element whether it is the same.
   *
   * @returns what it says
   */
  showVerdict?(
    verdict: HTMLElement,
    request: PageRequest,
    local: Delta[],
    server: Generate,
    signal: AbortSignal,
  ): Promise<string>;
}

/** @param key gives the API key to send, or nothing */
export function serverPlace(key: () => string): Place {
  return {
    name: "the server",
    generate: (request, signal) => generateOnServer(request, key(), signal),
  };
}
