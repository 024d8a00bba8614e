// tokenizer.model, SentencePiece's protocol buffer (sentencepiece_model.proto), as a tokenizer.json.

import { damaged, shown, unsupported } from "./json-value.ts";
import type { TokenizerJson } from "./tokenizer-json.ts";
import { scoredJson, TYPE, templateProcessing, typedVocabulary } from "./typed-vocabulary.ts";

const FILE = "tokenizer.model";

/** A field: a number for varints and floats, bytes for the rest. */
type Field = [number: number, value: number | Uint8Array];

/** The fields of a message (the protocol buffers' wire format). */
function* fields(bytes: Uint8Array): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const need = (count: number) => {
    if (at + count > bytes.length) damaged(FILE, `it ends within a field, at byte ${bytes.byteOffset + at}`);
  };
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      need(1);
      const byte = bytes[at++]!;
      value += (byte & 127) * shift;
      if (byte < 128) return value;
      if (shift > 2 ** 56) damaged(FILE, `byte ${bytes.byteOffset + at} is no number`);
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const [field, wire] = [Math.floor(tag / 8), tag % 8];
    if (wire === 0) yield [field, varint()];
    else if (wire === 5) {
      need(4);
      yield [field, view.getFloat32(at, true)];
      at += 4;
    } else if (wire === 1) {
      need(8);
      at += 8;
    } else if (wire === 2) {
      const length = varint();
      need(length);
      yield [field, bytes.subarray(at, at + length)];
      at += length;
    } else damaged(FILE, "it is no protocol buffer of SentencePiece's");
  }
}

const bytesOf = (value: number | Uint8Array): Uint8Array =>
  typeof value === "number" ? damaged(FILE, "it is no protocol buffer of SentencePiece's") : value;

function textOf(value: number | Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytesOf(value));
  } catch {
    return damaged(FILE, "one of its pieces is no UTF-8");
  }
}

/** Numbers of a message, by field; `defaults` for those that it leaves out. */
function numbers<Name extends string>(
  message: Uint8Array | undefined,
  names: Record<Name, [field: number, absent: number]>,
): Record<Name, number> {
  const given = new Map(message ? [...fields(message)].filter(([, value]) => typeof value === "number") : []);
  const read = Object.entries<[number, number]>(names).map(([name, [field, absent]]) => [
    name,
    // A negative number comes as one of 64 bits.
    Number(given.get(field) ?? absent) > 2 ** 31 ? -1 : Number(given.get(field) ?? absent),
  ]);
  return Object.fromEntries(read) as Record<Name, number>;
}

export interface SentencePieceOptions {
  addBos: boolean;
  addEos: boolean;
  /** transformers' `legacy`: each part of a text between special tokens begins with a space. */
  legacy: boolean;
}

/**
 * @throws EdgeformerError `invalid_model` for a damaged file, `unsupported_model` for anything but BPE that takes texts
 *   as they are
 */
export function readSentencePiece(
  bytes: Uint8Array,
  { addBos, addEos, legacy }: SentencePieceOptions,
): { json: TokenizerJson; names: Record<string, string>; ranks: number[] } {
  const [tokens, scores, types]: [string[], number[], number[]] = [[], [], []];
  let [trainer, normalizer]: (Uint8Array | undefined)[] = [];
  for (const [field, value] of fields(bytes)) {
    if (field === 1) {
      const piece = new Map(fields(bytesOf(value)));
      tokens.push(textOf(piece.get(1) ?? new Uint8Array(0)));
      scores.push(Number(piece.get(2) ?? 0));
      types.push(Number(piece.get(3) ?? TYPE.normal));
    } else if (field === 2) trainer = bytesOf(value);
    else if (field === 3) normalizer = bytesOf(value);
  }
  if (tokens.length === 0) damaged(FILE, "it has no pieces");
  const { kind, ...ids } = numbers(trainer, {
    kind: [3, 1],
    unk_token: [40, 0],
    bos_token: [41, 1],
    eos_token: [42, 2],
    pad_token: [43, -1],
  });
  if (kind !== 2)
    unsupported(
      FILE,
      `model_type is ${["UNIGRAM", "BPE", "WORD", "CHAR"][kind - 1] ?? kind}, and only BPE is known`,
    );
  const rules = numbers(normalizer, { add_dummy_prefix: [3, 1], remove_extra_whitespaces: [4, 1] });
  for (const [field, value] of normalizer ? fields(normalizer) : [])
    if (field === 2 && bytesOf(value).length > 0)
      unsupported(
        FILE,
        "normalizer_spec.precompiled_charsmap is not empty, and only the rule identity is known",
      );
  if (rules.remove_extra_whitespaces !== 0)
    unsupported(FILE, "normalizer_spec.remove_extra_whitespaces is true, which is not known");

  const vocabulary = typedVocabulary(tokens, types, FILE, "pieces");
  const named = Object.entries(ids).filter(([, id]) => id >= 0);
  for (const [name, id] of named)
    if (id >= tokens.length)
      damaged(FILE, `trainer_spec has ${shown(id)} for ${name}, but there are ${tokens.length} pieces`);
  const around = (put: boolean, id: number) => (put && id >= 0 ? [id] : []);
  const { json, ranks } = scoredJson(vocabulary, {
    scores,
    unknownId: ids.unk_token < 0 ? undefined : ids.unk_token,
    prefixed: rules.add_dummy_prefix !== 0,
    firstOnly: !legacy,
    post_processor: templateProcessing(around(addBos, ids.bos_token), around(addEos, ids.eos_token), tokens),
  });
  return { json, names: Object.fromEntries(named.map(([name, id]) => [name, tokens[id]!])), ranks };
}
