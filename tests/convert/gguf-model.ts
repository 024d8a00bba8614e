import { bytesOf, type GgufParts } from "./gguf-writer.ts";

const { u8, u32, f32, text, array } = bytesOf;
const [INT32, UINT32, FLOAT32, BOOL, STRING, ARRAY] = [5, 4, 6, 7, 8, 9];
/** ggml's numbers of the types, and bytes of 32 elements. */
const TYPES = { F32: [0, 128], Q4_1: [3, 20], Q8_0: [8, 34], Q5_1: [7, 24] } as const;

/** Every byte as byte-level BPE spells it, then two merged tokens and two special ones. */
export const TOKENS = [
  ...Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return printable ? String.fromCharCode(byte) : "";
  }).map((spelling, byte, all) => {
    if (spelling !== "") return spelling;
    return String.fromCharCode(256 + all.slice(0, byte).filter((one) => one === "").length);
  }),
  "th",
  "the",
  "<|end|>",
  "<|im_start|>",
];

const CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}";

/** Bytes of a type's blocks that decode to small finite numbers of both signs. */
function blocks(type: keyof typeof TYPES, elements: number): Uint8Array {
  if (type === "F32") {
    const values = Float32Array.from({ length: elements }, (_, i) => (((i * 37) % 101) - 50) / 500);
    return new Uint8Array(values.buffer);
  }
  const [, size] = TYPES[type];
  const bytes = Uint8Array.from(
    { length: (elements / 32) * size },
    (_, i) => Math.imul(i + 1, 2654435761) >>> 24,
  );
  // The float16 factors at a block's start: 0.01 or so, and a negative minimum where there is one.
  for (let at = 0; at < bytes.length; at += size) {
    bytes.set([0x00, 0x1c + (at % 3)], at);
    if (type !== "Q8_0") bytes.set([0x00, 0xa8], at + 2);
  }
  return bytes;
}

/** A Llama of 30 KB that converts in a moment: 32 channels in two heads, one layer, 260 tokens. */
export function smallModel(): Required<Pick<GgufParts, "values" | "tensors">> {
  const tensor = (name: string, type: keyof typeof TYPES, rows: number, columns = 32) => ({
    name,
    dimensions: rows === 1 ? [columns] : [columns, rows],
    type: TYPES[type][0] as number,
    data: blocks(type, rows * columns),
  });
  return {
    values: [
      ["general.architecture", STRING, text("llama")],
      ["general.name", STRING, text("Small")],
      ["general.license", STRING, text("mit")],
      ["general.author", STRING, text("A *star*\nof two lines")],
      ["llama.block_count", UINT32, u32(1)],
      ["llama.context_length", UINT32, u32(64)],
      ["llama.embedding_length", UINT32, u32(32)],
      ["llama.feed_forward_length", UINT32, u32(64)],
      ["llama.attention.head_count", UINT32, u32(2)],
      ["llama.attention.layer_norm_rms_epsilon", FLOAT32, f32(1e-5)],
      ["tokenizer.ggml.model", STRING, text("gpt2")],
      ["tokenizer.ggml.pre", STRING, text("gpt-2")],
      ["tokenizer.ggml.tokens", ARRAY, array(STRING, TOKENS.map(text))],
      [
        "tokenizer.ggml.token_type",
        ARRAY,
        array(
          INT32,
          TOKENS.map((token) => u32(token.startsWith("<|") ? 3 : 1)),
        ),
      ],
      ["tokenizer.ggml.merges", ARRAY, array(STRING, ["t h", "th e"].map(text))],
      ["tokenizer.ggml.bos_token_id", UINT32, u32(259)],
      ["tokenizer.ggml.eos_token_id", UINT32, u32(258)],
      ["tokenizer.ggml.add_bos_token", BOOL, u8(0)],
      ["tokenizer.chat_template", STRING, text(CHAT_TEMPLATE)],
      ["tokenizer.chat_template.tool_use", STRING, text("{{ tools }}")],
    ],
    tensors: [
      tensor("token_embd.weight", "Q8_0", TOKENS.length),
      tensor("blk.0.attn_norm.weight", "F32", 1),
      tensor("blk.0.attn_q.weight", "Q4_1", 32),
      tensor("blk.0.attn_k.weight", "Q4_1", 32),
      tensor("blk.0.attn_v.weight", "Q5_1", 32),
      tensor("blk.0.attn_output.weight", "Q4_1", 32),
      tensor("blk.0.ffn_norm.weight", "F32", 1),
      tensor("blk.0.ffn_gate.weight", "Q4_1", 64),
      tensor("blk.0.ffn_up.weight", "Q4_1", 64),
      tensor("blk.0.ffn_down.weight", "F32", 32, 64),
      tensor("output_norm.weight", "F32", 1),
    ],
  };
}
