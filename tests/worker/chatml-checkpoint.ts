import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { safetensorsFile } from "../convert/checkpoints.ts";
import { gaussian } from "../reference/random.ts";
import { gpt2Files, gpt2Json } from "../text/gpt2-files.ts";

/** As Qwen and SmolLM have it. */
export const CHATML = `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`;

/** Ordinary tokens: the bytes, and GPT-2's first merges. */
const TOKENS = 512;
export const SPECIALS = { "<|endoftext|>": TOKENS, "<|im_start|>": TOKENS + 1, "<|im_end|>": TOKENS + 2 };
const VOCABULARY = TOKENS + 3;

/** The tokenizer.json of the checkpoint. */
export function chatmlTokenizer(): Record<string, unknown> {
  const { vocab, merges } = gpt2Files();
  const kept = Object.fromEntries(Object.entries(vocab).filter(([, id]) => id < TOKENS));
  return {
    ...gpt2Json(),
    added_tokens: Object.entries(SPECIALS).map(([content, id]) => ({
      ...{ id, content, special: true, normalized: false },
      ...{ lstrip: false, rstrip: false, single_word: false },
    })),
    model: {
      ...{ type: "BPE", unk_token: null, fuse_unk: false, byte_fallback: false },
      vocab: kept,
      merges: merges.slice(0, TOKENS - 256),
    },
  };
}

/**
 * A checkpoint of a small Llama with random weights that chats in ChatML: config.json names one end of text, the files
 * beside it name the end of a turn.
 */
export function writeChatmlCheckpoint(directory: string): void {
  const [width, heads, keyHeads, size, inner, layers] = [64, 4, 2, 16, 128, 2];
  let seed = 0;
  const random = (...shape: number[]) => {
    const count = shape.reduce((a, b) => a * b, 1);
    return Float32Array.from(gaussian(count, ++seed), (x) => x * 0.15);
  };
  const tensors: Record<string, { dtype: string; shape: number[]; bytes: Uint8Array }> = {};
  const add = (name: string, shape: number[], values = random(...shape)) => {
    tensors[name] = { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
  };
  const norm = (name: string) => add(name, [width], new Float32Array(width).fill(1));
  add("model.embed_tokens.weight", [VOCABULARY, width]);
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}.`;
    norm(`${prefix}input_layernorm.weight`);
    add(`${prefix}self_attn.q_proj.weight`, [heads * size, width]);
    add(`${prefix}self_attn.k_proj.weight`, [keyHeads * size, width]);
    add(`${prefix}self_attn.v_proj.weight`, [keyHeads * size, width]);
    add(`${prefix}self_attn.o_proj.weight`, [width, heads * size]);
    norm(`${prefix}post_attention_layernorm.weight`);
    add(`${prefix}mlp.gate_proj.weight`, [inner, width]);
    add(`${prefix}mlp.up_proj.weight`, [inner, width]);
    add(`${prefix}mlp.down_proj.weight`, [width, inner]);
  }
  norm("model.norm.weight");
  mkdirSync(directory, { recursive: true });
  const write = (file: string, value: unknown) => writeFileSync(join(directory, file), JSON.stringify(value));
  writeFileSync(join(directory, "model.safetensors"), safetensorsFile(tensors));
  write("config.json", {
    ...{ model_type: "llama", hidden_size: width, intermediate_size: inner, num_hidden_layers: layers },
    ...{ num_attention_heads: heads, num_key_value_heads: keyHeads, vocab_size: VOCABULARY },
    ...{ max_position_embeddings: 1024, rms_norm_eps: 1e-5, tie_word_embeddings: true },
    ...{ bos_token_id: SPECIALS["<|endoftext|>"], eos_token_id: SPECIALS["<|endoftext|>"] },
  });
  write("generation_config.json", {
    eos_token_id: [SPECIALS["<|im_end|>"], SPECIALS["<|endoftext|>"]],
    ...{ do_sample: true, temperature: 0.8, top_p: 0.95 },
  });
  write("tokenizer.json", chatmlTokenizer());
  write("tokenizer_config.json", {
    ...{ tokenizer_class: "PreTrainedTokenizerFast", bos_token: "<|endoftext|>", eos_token: "<|im_end|>" },
    chat_template: CHATML,
  });
}
