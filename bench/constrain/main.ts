// How a constraint does on JSON schemas with instances: what it accepts, and what a mask costs.
//
//   npm run constrain -- ../models/NAME FILE.jsonl.gz      one JSON object a line: { id, schema, tests: [{ valid, data }] }

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { compileConstraint } from "../../src/constrain/index.ts";
import { parseTokenizerTable } from "../../src/text/tokenizer.ts";

interface Case {
  id: string;
  schema: unknown;
  tests: { valid: boolean; data: unknown }[];
}

const [directory, file, only] = process.argv.slice(2);
if (directory === undefined || file === undefined)
  throw new Error("usage: MODEL_DIRECTORY FILE.jsonl.gz [ID]");
const tokenizer = parseTokenizerTable(readFileSync(join(directory, "tokenizer.bin")));
const cases: Case[] = gunzipSync(readFileSync(file))
  .toString()
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

/** Keywords that a schema has anywhere. */
function keywordsOf(schema: unknown, found = new Set<string>(), isName = false): Set<string> {
  if (schema === null || typeof schema !== "object") return found;
  for (const [key, value] of Object.entries(schema)) {
    if (!isName && !Array.isArray(schema)) found.add(key);
    if (isName || !["enum", "const", "default", "examples"].includes(key))
      keywordsOf(
        value,
        found,
        !isName && ["properties", "patternProperties", "$defs", "definitions"].includes(key),
      );
  }
  return found;
}

const KEYWORDS =
  "type properties required additionalProperties patternProperties propertyNames minProperties maxProperties dependencies dependentRequired dependentSchemas items prefixItems additionalItems contains minItems maxItems uniqueItems enum const minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf anyOf oneOf allOf not if $ref".split(
    " ",
  );

type Outcome = "pass" | "refused" | "valid refused" | "invalid accepted" | "failed";
const outcomes = new Map<Outcome, Case[]>();
const reasons = new Map<string, number>();
const masks: number[] = [];
const compiles: number[] = [];
const firsts: number[] = [];
const byKeyword = new Map<string, Map<Outcome, number>>();
let forced = 0;

/** Whether the whole text is allowed, token by token. */
function accepts(constraint: ReturnType<typeof compileConstraint>, text: string): boolean {
  const matcher = constraint.matcher(tokenizer);
  for (const id of tokenizer.encode(text, { addSpecialTokens: false })) {
    const start = performance.now();
    const mask = matcher.mask();
    masks.push(performance.now() - start);
    const isAllowed = ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1;
    if (allowsOne(mask)) forced++;
    if (matcher.accept(id) !== isAllowed) throw new Error(`mask and accept do not agree: ${text}`);
    if (!isAllowed) return false;
  }
  return matcher.mayEnd;
}

function allowsOne(mask: Uint32Array): boolean {
  let seen = 0;
  for (let i = 0; i < mask.length && seen < 2; i++)
    for (let rest = mask[i]!; rest !== 0 && seen < 2; rest &= rest - 1) seen++;
  return seen === 1;
}

function check({ schema, tests }: Case): [Outcome, string?] {
  let constraint: ReturnType<typeof compileConstraint>;
  const start = performance.now();
  try {
    constraint = compileConstraint({ jsonSchema: schema }, { whitespace: "none" });
  } catch (error) {
    if ((error as { code?: string }).code !== "invalid_option") throw error;
    return ["refused", (error as Error).message];
  }
  const compiled = performance.now();
  constraint.matcher(tokenizer).mask();
  firsts.push(performance.now() - start);
  compiles.push(compiled - start);
  for (const { valid, data } of tests) {
    const text = JSON.stringify(data);
    if (accepts(constraint, text) !== valid)
      return [valid ? "valid refused" : "invalid accepted", text.slice(0, 300)];
  }
  return ["pass"];
}

// The tree of the vocabulary, and the insides of free strings, are one for all.
accepts(compileConstraint({ jsonSchema: true }), '{"a":"b"}');
masks.length = 0;

for (const each of cases) {
  if (only !== undefined && each.id !== only) continue;
  let outcome: Outcome = "failed";
  let detail: string | undefined;
  try {
    [outcome, detail] = check(each);
  } catch (error) {
    detail = (error as Error).stack;
  }
  outcomes.set(outcome, [...(outcomes.get(outcome) ?? []), each]);
  if (outcome !== "pass") console.log(`${outcome}\t${each.id}\t${detail}`);
  if (outcome === "refused") {
    const reason = detail!
      .replace(/^jsonSchema at \S+: /, "")
      .replace(/".*?"/g, "…")
      .slice(0, 60);
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const found = keywordsOf(each.schema);
  for (const keyword of KEYWORDS) {
    if (!found.has(keyword)) continue;
    const counts = byKeyword.get(keyword) ?? new Map<Outcome, number>();
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    byKeyword.set(keyword, counts);
  }
}

function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

const ORDER: Outcome[] = ["pass", "refused", "valid refused", "invalid accepted", "failed"];
console.log(`\n| keyword | schemas | ${ORDER.join(" | ")} |\n|---|${"---:|".repeat(ORDER.length + 1)}`);
for (const [keyword, counts] of byKeyword) {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  console.log(`| ${keyword} | ${total} | ${ORDER.map((outcome) => counts.get(outcome) ?? 0).join(" | ")} |`);
}
console.log(
  `| all | ${cases.length} | ${ORDER.map((outcome) => outcomes.get(outcome)?.length ?? 0).join(" | ")} |`,
);
console.log("\nrefused because it");
for (const [reason, count] of [...reasons].sort((a, b) => b[1] - a[1]))
  console.log(`${String(count).padStart(5)}  ${reason}`);
const micro = (value: number) => (1000 * value).toFixed(0);
const slow = masks.filter((value) => value > 1).length;
console.log(
  `\nmask of one token, µs: mean ${micro(masks.reduce((sum, value) => sum + value, 0) / masks.length)}, ` +
    `median ${micro(quantile(masks, 0.5))}, 99 % ${micro(quantile(masks, 0.99))}, largest ${micro(quantile(masks, 1))}; ` +
    `${slow} of ${masks.length} above 1 ms (${((100 * slow) / masks.length).toFixed(3)} %); ${((100 * forced) / masks.length).toFixed(1)} % allow one token`,
);
console.log(
  `compile and first mask, ms: median ${quantile(firsts, 0.5).toFixed(2)}, 99 % ${quantile(firsts, 0.99).toFixed(1)}, ` +
    `largest ${quantile(firsts, 1).toFixed(0)}; compile alone: median ${quantile(compiles, 0.5).toFixed(2)}`,
);
