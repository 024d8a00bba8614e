// Keywords of numbers and of strings.

import { type Assertion, held, type Keywords, only, type Reading } from "./assertion.ts";
import { ANY_STRING, type Facts, type StringFacts } from "./facts.ts";
import {
  ANY_NUMBER,
  above,
  atLeast,
  atMost,
  below,
  isOnGrid,
  type NumberFacts,
  scaled,
} from "./number-facts.ts";

export function numberAssertion(keywords: Keywords): Assertion | undefined {
  const facts: NumberFacts = { ...ANY_NUMBER };
  const fails: Partial<NumberFacts>[] = [];
  const bound = (value: number | undefined, exclusive: boolean, isLeast: boolean) => {
    if (value === undefined) return;
    if (isLeast) {
      const least = exclusive ? above(value) : atLeast(value);
      if (facts.least === undefined || least > facts.least) facts.least = least;
      fails.push({ most: exclusive ? atMost(value) : below(value) });
    } else {
      const most = exclusive ? below(value) : atMost(value);
      if (facts.most === undefined || most < facts.most) facts.most = most;
      fails.push({ least: exclusive ? atLeast(value) : above(value) });
    }
  };
  for (const [plain, strict, isLeast] of [
    ["minimum", "exclusiveMinimum", true],
    ["maximum", "exclusiveMaximum", false],
  ] as const) {
    // In draft-04 the strict one is a boolean beside the plain one.
    const flag = keywords.raw(strict);
    bound(keywords.number(plain), flag === true, isLeast);
    if (typeof flag !== "boolean") bound(keywords.number(strict), true, isLeast);
  }
  const step = keywords.number("multipleOf");
  if (step !== undefined) {
    if (step <= 0) keywords.refuse("multipleOf", "must be above 0");
    if (!isOnGrid(step)) keywords.refuse("multipleOf", "has more than 24 digits behind the point");
    const at = scaled(step);
    facts.step = at;
    fails.push({ notSteps: [at] });
  }
  if (fails.length === 0) return undefined;
  return {
    meets: [held({ number: facts })],
    fails: () => fails.map((failing) => only("number", { number: { ...ANY_NUMBER, ...failing } })),
  };
}

export function stringAssertion(keywords: Keywords, reading: Reading): Assertion | undefined {
  const { languages } = reading;
  const string: StringFacts = { ...ANY_STRING };
  const fails: (() => Partial<StringFacts>)[] = [];
  const least = keywords.count("minLength");
  const most = keywords.count("maxLength");
  if (least !== undefined && least > 0) {
    string.least = least;
    fails.push(() => ({ most: least - 1 }));
  }
  if (most !== undefined) {
    string.most = most;
    fails.push(() => ({ least: most + 1 }));
  }
  const pattern = keywords.text("pattern");
  const format = keywords.text("format");
  const inside = [
    pattern !== undefined && reading.pattern(keywords.schema, "pattern", pattern),
    format !== undefined && reading.format(keywords.schema, format),
  ].filter((language) => language !== false && language !== undefined);
  for (const language of inside) {
    string.language = languages.intersection([string.language, language]);
    fails.push(() => ({ language: languages.complement(language) }));
  }
  if (fails.length === 0) return undefined;
  const meets: Facts[] = [held({ string })];
  return {
    meets,
    fails: () => fails.map((failing) => only("string", { string: { ...ANY_STRING, ...failing() } })),
  };
}
