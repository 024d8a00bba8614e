import * as abi from "../../assembly/abi.ts";
import { REGION_DESCRIPTOR, REGION_WEIGHTS, REGIONS } from "../../assembly/regions.ts";
import type { ActivationName, TensorRole, TensorSpec } from "../architectures/recipe.ts";
import { KINDS } from "../format/kinds.ts";
import { type ModelLayout, sectionsOf, type TensorInfo } from "../format/layout.ts";
import type { MemoryPlan } from "./memory.ts";

const ACTIVATION_CODES: Record<ActivationName, number> = {
  gelu_new: abi.ACTIVATION_GELU_TANH,
  gelu_pytorch_tanh: abi.ACTIVATION_GELU_TANH,
  gelu: abi.ACTIVATION_GELU_ERF,
  relu: abi.ACTIVATION_RELU,
  silu: abi.ACTIVATION_SILU,
};

/** The descriptor's field for each tensor: of the model (M_…) or of its layer (L_…). */
const ROLE_FIELDS: Record<TensorRole, number> = {
  embedding: abi.M_EMBEDDING,
  positions: abi.M_POSITIONS,
  rotary: abi.M_ROTARY,
  finalNorm: abi.M_FINAL_NORM,
  head: abi.M_HEAD,
  inputNorm: abi.L_INPUT_NORM,
  queryKeyValue: abi.L_QUERY_KEY_VALUE,
  queryNorm: abi.L_QUERY_NORM,
  keyNorm: abi.L_KEY_NORM,
  attentionOutput: abi.L_ATTENTION_OUTPUT,
  mlpNorm: abi.L_MLP_NORM,
  mlpInput: abi.L_MLP_INPUT,
  mlpOutput: abi.L_MLP_OUTPUT,
};

const SECTION_FIELDS = {
  values: abi.W_VALUES,
  scales: abi.W_SCALES,
  steps: abi.W_STEPS,
  bias: abi.W_BIAS,
};

function layerField(layer: number, field: number): number {
  return abi.M_LAYERS_START + layer * abi.LAYER_FIELDS + field;
}

/** The first field of the record of the recipe's `index`-th tensor: records follow the last layer's fields. */
export function recordField(layers: number, index: number): number {
  return layerField(layers, 0) + index * abi.WEIGHT_FIELDS;
}

/** Writes the descriptor that assembly/abi.ts defines into linear memory. */
export function writeDescriptor(
  memory: ArrayBuffer,
  { recipe, tensors }: ModelLayout,
  plan: MemoryPlan,
): void {
  const start = plan.offsets[REGION_DESCRIPTOR]!;
  const fields = new DataView(memory, start, plan.sizes[REGION_DESCRIPTOR]);
  const put = (field: number, value: number) => fields.setUint32(field * 4, value, true);
  const putReal = (field: number, value: number) => fields.setFloat32(field * 4, value, true);

  for (let region = 0; region < REGIONS; region++) put(region, plan.offsets[region]!);
  put(abi.M_HIDDEN_SIZE, recipe.hiddenSize);
  put(abi.M_HEADS, recipe.numHeads);
  put(abi.M_KEY_VALUE_HEADS, recipe.numKeyValueHeads);
  put(abi.M_HEAD_SIZE, recipe.headSize);
  put(abi.M_INNER_SIZE, recipe.innerSize);
  put(abi.M_LAYERS, recipe.layers.length);
  put(abi.M_VOCAB, recipe.vocabSize);
  put(abi.M_NORM, recipe.norm === "rms" ? abi.NORM_RMS : abi.NORM_LAYER);
  putReal(abi.M_EPSILON, recipe.normEpsilon);
  put(abi.M_ACTIVATION, ACTIVATION_CODES[recipe.activation]);
  put(abi.M_GATED, recipe.gated ? 1 : 0);
  putReal(abi.M_EMBEDDING_SCALE, recipe.embeddingScale);
  put(abi.M_ROTARY_SIZE, recipe.positions.kind === "rotary" ? recipe.positions.size : 0);
  put(abi.M_KV_LAYER_BYTES, plan.kvBlocks * plan.kvBlockBytes);
  put(abi.M_KV_PLANE, plan.kvBlocks * plan.kvPlaneBytes);
  put(abi.M_TABLE_STRIDE, plan.blocksPerSequence * 4);
  put(abi.M_QUANTIZED_STRIDE, plan.quantizedStride);
  put(abi.M_OUTPUT_STRIDE, plan.outputStride);
  put(abi.M_LOGITS_STRIDE, plan.logitsStride);
  recipe.layers.forEach(({ scoreScale, window }, layer) => {
    putReal(layerField(layer, abi.L_SCORE_SCALE), scoreScale);
    put(layerField(layer, abi.L_WINDOW), window);
  });

  const places = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  for (const [index, tensor] of recipe.tensors.entries()) {
    const record = recordField(recipe.layers.length, index);
    writeRecord(put, record, tensor, places.get(tensor.name)!, plan.offsets[REGION_WEIGHTS]!);
    const field = ROLE_FIELDS[tensor.role];
    const address = start + record * 4;
    put(tensor.layer === undefined ? field : layerField(tensor.layer, field), address);
    if (tensor.role === "embedding" && recipe.tiedHead) put(abi.M_HEAD, address);
  }
}

/** Writes a weight's record from the descriptor's field `record` on. */
function writeRecord(
  put: (field: number, value: number) => void,
  record: number,
  tensor: TensorSpec,
  { kind, offset, amplitude }: TensorInfo,
  weights: number,
): void {
  put(record + abi.W_KIND, KINDS[kind].code);
  put(record + abi.W_ROWS, tensor.rows);
  put(record + abi.W_COLUMNS, tensor.columns);
  put(record + abi.W_AMPLITUDE, amplitude ?? KINDS[kind].amplitude!(tensor.columns));
  for (const section of sectionsOf(tensor, kind).sections)
    put(record + SECTION_FIELDS[section.name], weights + offset + section.offset);
}
