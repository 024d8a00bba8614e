import { EdgeformerError } from "../../errors.ts";
import {
  ADDED_FLAGS,
  HEADER,
  HEADER_WORDS,
  MAX_ADDED_BYTES,
  MAX_TOKENS,
  NO_ID,
  TABLE_FLAGS,
  TABLE_MAGIC,
  TABLE_VERSION,
} from "../../text/tokenizer-table.ts";
import type { TokenizerDescription } from "./description.ts";

const encoder = new TextEncoder();

function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function refuse(message: string): never {
  throw new EdgeformerError("unsupported_model", message);
}

/** The flags that are set, as one number. */
function flagsOf<Name extends string>(
  bits: Record<Name, number>,
  set: NoInfer<Record<Name, boolean>>,
): number {
  return (Object.keys(bits) as Name[]).reduce((sum, name) => sum | (set[name] ? bits[name] : 0), 0);
}

/** The bytes of tokenizer.bin, as text/tokenizer-table.ts draws it. */
export function compileTokenizer(description: TokenizerDescription): Uint8Array {
  const { spellings, merges, ranks, fallback, unknown, added, settings } = description;
  if (spellings.length > MAX_TOKENS)
    refuse(`the tokenizer has ${spellings.length} tokens, more than ${MAX_TOKENS}`);
  const long = spellings.findIndex((spelling) => spelling.length > 0xffff);
  if (long !== -1)
    refuse(`token ${long} of the tokenizer has ${spellings[long]!.length} bytes, more than 65535`);
  const contents = added.map(({ content }) => encoder.encode(content));
  const longer = contents.findIndex((content) => content.length > MAX_ADDED_BYTES);
  if (longer !== -1)
    refuse(`the added word of token ${added[longer]!.id} has more than ${MAX_ADDED_BYTES} bytes`);

  const wide = spellings.length > 0x10000;
  const ids = (values: number[]) => bytesOf(wide ? Uint32Array.from(values) : Uint16Array.from(values));
  const words = (values: Iterable<number>) => bytesOf(Uint32Array.from(values));
  const symbols = [...description.symbolIds].sort(([a], [b]) => a - b);
  const json = encoder.encode(JSON.stringify(settings));
  const sections: Uint8Array[] = [
    bytesOf(Uint16Array.from(spellings, ({ length }) => length)),
    concatenate(spellings),
    ids(merges.map(({ left }) => left)),
    ids(merges.map(({ right }) => right)),
    ids(merges.map(({ result }) => result)),
    ...(ranks ? [words(ranks)] : []),
    words(symbols.map(([symbol]) => symbol)),
    words(symbols.map(([, id]) => id)),
    ...(fallback ? [words(fallback)] : []),
    words(added.flatMap((word, i) => [word.id, flagsOf(ADDED_FLAGS, word), contents[i]!.length])),
    concatenate(contents),
    json,
  ];
  const header = new Uint32Array(HEADER_WORDS);
  const set = (name: keyof typeof HEADER, value: number) => {
    header[HEADER[name]] = value;
  };
  set("magic", TABLE_MAGIC);
  set("version", TABLE_VERSION);
  set(
    "flags",
    flagsOf(TABLE_FLAGS, {
      bytes: description.symbols === "bytes",
      wide,
      ranked: ranks !== undefined,
      fallback: fallback !== undefined,
      fuseUnknown: description.fuseUnknown,
      ignoreMerges: description.ignoreMerges,
    }),
  );
  set("tokens", spellings.length);
  set("spellingBytes", sections[1]!.length);
  set("merges", merges.length);
  set("symbols", symbols.length);
  set("added", added.length);
  set("contentBytes", sections.at(-2)!.length);
  set("settingsBytes", json.length);
  set("unknown", unknown ?? NO_ID);
  const padded = sections.map((section) => {
    const whole = new Uint8Array(Math.ceil(section.length / 4) * 4);
    whole.set(section);
    return whole;
  });
  set(
    "fileBytes",
    padded.reduce((sum, section) => sum + section.length, header.byteLength),
  );
  return concatenate([bytesOf(header), ...padded]);
}

function concatenate(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
