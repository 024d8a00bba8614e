/** UTF-8 bytes of each text: the largest request body that the Worker reads by default. */
export const LONG = 1024 * 1024;

const UNITS: Record<string, string> = {
  "one letter": "a",
  "two letters": "ab",
  "a letter of two bytes": "é",
  "a letter of three bytes": "語",
  "combining marks": "\u0301",
  digits: "7",
  "signs of one kind": "!",
  "signs of many kinds": "!?-.,;*&",
  spaces: " ",
  "no-break spaces": "\u00a0",
  "line breaks": "\n",
  "every white space": " \n\t\r",
  emoji: "😀",
  "emoji joined to one": "👩‍🚀",
  "letters and digits in turn": "a1",
  "letters, signs and digits in turn": "a!1",
  "letters and spaces in turn": "a ",
  contractions: "'s",
  "special tokens' spellings": "<|endoftext|>",
};

const encoder = new TextEncoder();

/** A unit again and again, up to `bytes` bytes of UTF-8. */
function filled(unit: string, bytes: number): string {
  return unit.repeat(Math.floor(bytes / encoder.encode(unit).length));
}

/** Letters without a pattern: what repeats can be merged evenly, this cannot. */
function scrambled(length: number): string {
  let state = 1;
  const letters = Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return String.fromCharCode(97 + ((state >>> 16) % 26));
  });
  return letters.join("");
}

/** Texts that a tokenizer may find hard, each of up to `bytes` bytes without a place to divide it, or with very many. */
export function longTexts(bytes: number): [name: string, text: string][] {
  return [
    ...Object.entries(UNITS).map(([name, unit]): [string, string] => [name, filled(unit, bytes)]),
    ["letters in no order", scrambled(bytes)],
  ];
}

/** CPU time of this process that `work` takes, in seconds: what else the machine does hardly counts. */
export function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
