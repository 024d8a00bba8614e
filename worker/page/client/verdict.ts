import type { Delta } from "../../openai/wire/choice.ts";
import { explain } from "./answer-error.ts";
import { compare } from "./compare.ts";
import type { PageRequest } from "./page-request.ts";
import type { Generate } from "./place.ts";

/**
 * Asks the server for what this browser has written, and says in an element whether it is the same.
 *
 * @returns what it says
 */
export async function showVerdict(
  verdict: HTMLElement,
  request: PageRequest,
  local: Delta[],
  server: Generate,
  signal: AbortSignal,
): Promise<string> {
  const write = (text: string, className = "") => {
    verdict.hidden = false;
    verdict.className = `verdict ${className}`.trim();
    verdict.textContent = text;
    return text;
  };
  write("Asking the server for the same text…");
  try {
    const remote: Delta[] = [];
    for await (const delta of server(request, signal)) remote.push(delta);
    const { identical, tokens, firstDifference } = compare(local, remote);
    return identical
      ? write(`Identical to the server's: ${tokens} tokens, every probability equal to the last bit.`, "same")
      : write(`Not the server's text: they part at token ${(firstDifference ?? tokens) + 1}.`, "different");
  } catch (error) {
    return write(
      signal.aborted
        ? "The comparison with the server was stopped."
        : `Written without the server, which could not be asked for comparison: ${explain(error)}`,
    );
  }
}
