import { readFileSync } from "node:fs";
import { ChatTemplate, encodeChat } from "../../src/chat.ts";
import { bundledModel, openTokenizer } from "../../src/node/index.ts";
import { prompt } from "../shapes.ts";
import type { Job } from "./task.ts";

const file = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

const LONGEST = 96;
const licence = file("LICENSE");
const code = file("src/text/stream.ts");
const prose = file("models/fable/README.md");

/** Texts that are known beforehand: what stands before each, and the text itself. */
const KNOWN: Record<string, [before: string, text: string]> = {
  "the licence again, word for word": [licence, licence],
  "the licence with two words replaced": [
    licence,
    licence.replaceAll("Software", "Program").replaceAll("copyright", "rights"),
  ],
  "a source file with two names changed": [
    code,
    code.replaceAll("held", "pending").replaceAll("released", "ready"),
  ],
  "prose, not seen before": [prose.slice(0, 200), prose.slice(200)],
};

const PARAGRAPH = licence.split("\n\n")[3]!;

/** What SmolLM2-135M-Instruct is asked for: its answers copy. */
const ASKED: Record<string, string> = {
  "its own copy of a paragraph": `Repeat this text exactly:\n\n${PARAGRAPH}`,
  "its own edit of a source file": `Rename the variable held to pending in this code and write all of the code again:\n\n${code.slice(0, 700)}`,
  "its own summary of a paragraph": `Summarize this text in three sentences:\n\n${PARAGRAPH}`,
};

export interface LookupCase {
  shape: string;
  name: string;
  job: Job;
}

/** What prompt lookup is measured on; each text with its prompt is shorter than the context. */
export async function lookupCases(smollm2: string): Promise<LookupCase[]> {
  const [ours, theirs] = await Promise.all([openTokenizer(bundledModel()), openTokenizer(smollm2)]);
  const cases: LookupCase[] = [];
  for (const [shape, tokenizer] of [
    ["fable", ours],
    ["smollm2", theirs],
  ] as const) {
    for (const [name, [before, after]] of Object.entries(KNOWN)) {
      const text = tokenizer.encode(after).slice(0, LONGEST);
      const ids = tokenizer.encode(before).slice(0, LONGEST);
      cases.push({
        shape,
        name,
        job: { prompt: ids, text, maxTokens: text.length, temperature: 0, seed: 1 },
      });
    }
    const [before, text] = [prompt(100, 1), prompt(LONGEST, 2)];
    cases.push({
      shape,
      name: "random tokens",
      job: { prompt: before, text, maxTokens: LONGEST, temperature: 0, seed: 1 },
    });
  }
  for (const temperature of [0, 0.8]) {
    const job = { prompt: ours.encode("Once upon a time"), maxTokens: LONGEST, temperature, seed: 7 };
    cases.push({ shape: "fable", name: `a story at temperature ${temperature}`, job });
  }
  const template = new ChatTemplate(theirs.chatTemplate!);
  for (const [name, content] of Object.entries(ASKED)) {
    const messages = [{ role: "user", content }];
    const ids = encodeChat(theirs, template, { messages, add_generation_prompt: true });
    cases.push({ shape: "smollm2", name, job: { prompt: ids, maxTokens: LONGEST, temperature: 0, seed: 7 } });
  }
  return cases;
}
