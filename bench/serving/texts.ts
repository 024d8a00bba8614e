import { readFileSync } from "node:fs";
import { parseTokenizerTable } from "../../src/text/tokenizer.ts";
import { prompt } from "../shapes.ts";
import type { Job } from "./task.ts";

const tokenizer = parseTokenizerTable(
  readFileSync(new URL("../../models/fable/tokenizer.bin", import.meta.url)),
);
const encode = (text: string) => tokenizer.encode(text);
const file = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

const LONGEST = 240;

/** A prompt and the text that is to come of it. */
function replay(before: string, after: string): Job {
  const text = encode(after).slice(0, LONGEST);
  return { prompt: encode(before).slice(0, LONGEST), text, maxTokens: text.length, temperature: 0, seed: 1 };
}

const licence = file("LICENSE");
const code = file("src/text/stream.ts");
const prose = file("models/fable/README.md");

/** What prompt lookup is measured on; each text with its prompt is shorter than the context. */
export const TEXTS: Record<string, Job> = {
  "the licence again, word for word": replay(licence, licence),
  "the licence with two words replaced": replay(
    licence,
    licence.replaceAll("Software", "Program").replaceAll("copyright", "rights"),
  ),
  "a source file with two names changed": replay(
    code,
    code.replaceAll("held", "pending").replaceAll("released", "ready"),
  ),
  "prose, not seen before": replay(prose.slice(0, 200), prose.slice(200)),
  "random tokens": { prompt: prompt(100, 1), text: prompt(200, 2), maxTokens: 200, temperature: 0, seed: 1 },
};

export const STORY = encode("Once upon a time");
