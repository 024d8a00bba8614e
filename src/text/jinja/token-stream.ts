import type { Token, TokenType } from "./lexer.ts";

/** Brackets, signs, blocks … within each other: as many as Python takes. */
const MAX_DEPTH = 90;

/** Tokens, read one after the other. */
export class TokenStream {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.#tokens[this.#at]!;
  }

  /** The token after this one. */
  get following(): Token {
    return this.#tokens[Math.min(this.#at + 1, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.current;
    if (token.type !== "end") this.#at++;
    return token;
  }

  is(type: TokenType, value?: string): boolean {
    const { current } = this;
    return current.type === type && (value === undefined || current.value === value);
  }

  isOperator(value: string): boolean {
    return this.is("operator", value);
  }

  /** Goes on if the token is this one. */
  skip(type: TokenType, value?: string): boolean {
    const found = this.is(type, value);
    if (found) this.next();
    return found;
  }

  skipOperator(value: string): boolean {
    return this.skip("operator", value);
  }

  /** @throws SyntaxError if the token is another one */
  expect(type: TokenType, value?: string): Token {
    if (!this.is(type, value)) this.fail(`expected ${value ?? type}`);
    return this.next();
  }

  fail(reason: string): never {
    const { type, value } = this.current;
    const found = { end: "the end of the template", endBlock: "%}", endPrint: "}}", data: "text" }[
      type as string
    ];
    throw new SyntaxError(`${reason}, found ${found ?? JSON.stringify(value)}`);
  }

  /** Reads what may hold itself. */
  nested<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new SyntaxError("it is nested too deep");
    const value = read();
    this.#depth--;
    return value;
  }
}
