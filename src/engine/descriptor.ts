import * as abi from "../../assembly/abi.ts";
import { type ActivationName, alignUp, type Manifest } from "../format/manifest.ts";
import type { MemoryPlan } from "./memory.ts";

const ACTIVATION_CODES: Record<ActivationName, number> = {
  gelu_new: abi.ACTIVATION_GELU_TANH,
  gelu_pytorch_tanh: abi.ACTIVATION_GELU_TANH,
  gelu: abi.ACTIVATION_GELU_ERF,
  relu: abi.ACTIVATION_RELU,
  silu: abi.ACTIVATION_SILU,
};

/** Writes the descriptor that assembly/abi.ts defines into linear memory. */
export function writeDescriptor(memory: ArrayBuffer, manifest: Manifest, plan: MemoryPlan): void {
  const { config } = manifest;
  const fields = new DataView(memory, plan.offsets.descriptor, plan.sizes.descriptor);
  const put = (field: number, value: number) => fields.setUint32(field * 4, value, true);
  const putReal = (field: number, value: number) => fields.setFloat32(field * 4, value, true);
  const offsets = new Map(manifest.tensors.map((tensor) => [tensor.name, tensor.offset]));
  const tensor = (name: string) => plan.offsets.weights + offsets.get(name)!;
  const head = config.tie_word_embeddings ? "wte" : "lm_head";

  put(abi.M_WIDTH, config.n_embd);
  put(abi.M_WIDTH_PAD, alignUp(config.n_embd, 16));
  put(abi.M_HEADS, config.n_head);
  put(abi.M_HEAD_DIM, config.n_embd / config.n_head);
  put(abi.M_HEAD_DIM_PAD, plan.headDimPad);
  put(abi.M_INNER, config.n_inner);
  put(abi.M_INNER_PAD, alignUp(config.n_inner, 16));
  put(abi.M_LAYERS, config.n_layer);
  put(abi.M_VOCAB, config.vocab_size);
  put(abi.M_VOCAB_PAD, alignUp(config.vocab_size, 16));
  put(abi.M_POSITIONS_PAD, alignUp(config.n_positions, 16));
  put(abi.M_ACTIVATION, ACTIVATION_CODES[config.activation_function]);
  putReal(abi.M_EPSILON, config.layer_norm_epsilon);
  put(abi.M_WTE, tensor("wte.weight"));
  put(abi.M_WTE_SCALE, tensor("wte.weight.scale"));
  put(abi.M_WPE, tensor("wpe.weight"));
  put(abi.M_WPE_SCALE, tensor("wpe.weight.scale"));
  put(abi.M_LNF_WEIGHT, tensor("ln_f.weight"));
  put(abi.M_LNF_BIAS, tensor("ln_f.bias"));
  put(abi.M_HEAD, tensor(`${head}.weight`));
  put(abi.M_HEAD_SCALE, tensor(`${head}.weight.scale`));
  put(abi.M_KV, plan.offsets.kv);
  put(abi.M_KV_LAYER_BYTES, (plan.kvBlocks * plan.kvBlockBytes) / config.n_layer);
  put(abi.M_KV_PLANE, plan.kvBlocks * plan.kvPlaneBytes);
  put(abi.M_TABLES, plan.offsets.tables);
  put(abi.M_TABLE_STRIDE, plan.blocksPerSequence * 4);
  put(abi.M_ROWS, plan.offsets.rows);
  put(abi.M_LOGIT_ROWS, plan.offsets.logitRows);
  put(abi.M_RNG, plan.offsets.rng);
  put(abi.M_PAIRS, plan.offsets.pairs);
  put(abi.M_TOP, plan.offsets.top);
  put(abi.M_RESIDUAL, plan.offsets.residual);
  put(abi.M_NORMED, plan.offsets.normed);
  put(abi.M_QUANTIZED, plan.offsets.quantized);
  put(abi.M_QUANTIZED_STRIDE, plan.quantizedStride);
  put(abi.M_ROW_SCALE, plan.offsets.rowScale);
  put(abi.M_ROW_SUM, plan.offsets.rowSum);
  put(abi.M_STRASSEN, plan.offsets.strassen);
  put(abi.M_HIDDEN, plan.offsets.hidden);
  put(abi.M_HIDDEN_STRIDE, plan.hiddenStride);
  put(abi.M_SCORES, plan.offsets.scores);
  put(abi.M_PROBS, plan.offsets.probs);
  put(abi.M_VALUE_SCALES, plan.offsets.valueScales);
  put(abi.M_HEAD_SUMS, plan.offsets.headSums);
  put(abi.M_LOGITS, plan.offsets.logits);
  put(abi.M_LOGITS_STRIDE, plan.logitsStride);
  put(abi.M_SAMPLER, plan.offsets.sampler);

  for (let layer = 0; layer < config.n_layer; layer++) {
    const at = (field: number) => abi.M_LAYERS_START + layer * abi.LAYER_FIELDS + field;
    const name = (suffix: string) => tensor(`h.${layer}.${suffix}`);
    const linear = (field: number, suffix: string) => {
      put(at(field), name(`${suffix}.weight`));
      put(at(field + 1), name(`${suffix}.weight.scale`));
      put(at(field + 2), name(`${suffix}.bias`));
    };
    put(at(abi.L_LN1_WEIGHT), name("ln_1.weight"));
    put(at(abi.L_LN1_BIAS), name("ln_1.bias"));
    linear(abi.L_QKV, "attn.c_attn");
    linear(abi.L_PROJ, "attn.c_proj");
    put(at(abi.L_LN2_WEIGHT), name("ln_2.weight"));
    put(at(abi.L_LN2_BIAS), name("ln_2.bias"));
    linear(abi.L_FC, "mlp.c_fc");
    linear(abi.L_MLP_PROJ, "mlp.c_proj");
    putReal(at(abi.L_ATTENTION_SCALE), config.attention_scales[layer]!);
    put(at(abi.L_WINDOW), config.attention_windows[layer]!);
  }
}
