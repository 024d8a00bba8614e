export function serveRounds(
  measure: (
    round: number,
    promptTokens: number,
    decodeTokens: number,
  ) => Promise<{ prefillMs: number; decodeMs: number }>,
): Promise<void>;
