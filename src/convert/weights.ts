import { ConfigFields } from "../architectures/config-fields.ts";
import { recipeOf } from "../architectures/index.ts";
import type { Recipe, TensorSpec } from "../architectures/recipe.ts";
import { rotaryFrequencies } from "../architectures/rope-scaling.ts";
import { EdgeformerError } from "../errors.ts";
import type { Dialect, Source } from "./dialects/dialect.ts";
import { type Checkpoint, type CheckpointTensor, elements } from "./formats/checkpoint.ts";
import { type GroupedRows, groupBits } from "./formats/gguf-groups.ts";
import { concatenate, concatenateGroups, pickGroups, pickRows, readStacked, spanOf } from "./stacked-rows.ts";
import { transpose } from "./transpose.ts";

/** A float32 matrix [rows, columns] = [outputs, inputs] that is read by rows. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** Rows `first … first + count − 1`, row-major. */
  read(first: number, count: number): Promise<Float32Array>;
  /** The same rows as the file's own codes and steps, if all of the matrix has them with the same bits. */
  readonly grouped?: (first: number, count: number) => Promise<GroupedRows>;
}

/** A checkpoint's weights as the recipe lists them: by its names, [outputs, inputs], queries, keys and values in one. */
export interface Weights {
  readonly recipe: Recipe;
  /** The configuration that made the recipe, for model.json. */
  readonly config: Record<string, unknown>;
  /** Types that the checkpoint has a tensor's values in, one for each matrix that it is stacked from. */
  dtypes(name: string): string[];
  matrix(name: string): Promise<Matrix>;
  vector(name: string): Promise<Float32Array>;
  /** The bias that belongs to a tensor. */
  bias(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/** The same weights but for what is read in another way. */
export function weightsWith(
  weights: Weights,
  changed: Partial<Pick<Weights, "matrix" | "vector" | "bias">>,
): Weights {
  return {
    recipe: weights.recipe,
    config: weights.config,
    dtypes: (name) => weights.dtypes(name),
    matrix: (name) => weights.matrix(name),
    vector: (name) => weights.vector(name),
    bias: (name) => weights.bias(name),
    close: () => weights.close(),
    ...changed,
  };
}

/** A checkpoint's tensors by their canonical names. */
export function canonicalTensors(checkpoint: Checkpoint, dialect: Dialect): Map<string, CheckpointTensor> {
  const tensors = new Map<string, CheckpointTensor>();
  for (const [name, tensor] of checkpoint.tensors) {
    const canonical = dialect.canonicalName(name);
    if (tensors.has(canonical))
      throw new EdgeformerError("invalid_model", `the checkpoint has two tensors called ${canonical}`);
    tensors.set(canonical, tensor);
  }
  return tensors;
}

/** A list for a message, cut short when it is long. */
function listed(names: string[]): string {
  return names.length <= 4
    ? names.join(", ")
    : `${names.slice(0, 4).join(", ")} and ${names.length - 4} more`;
}

/** Whether two tensors hold the same numbers. */
export async function sameTensor(a: CheckpointTensor, b: CheckpointTensor): Promise<boolean> {
  const total = elements(a.shape);
  if (total !== elements(b.shape)) return false;
  const step = 1 << 20;
  for (let start = 0; start < total; start += step) {
    const count = Math.min(step, total - start);
    const [left, right] = [await a.read(start, count), await b.read(start, count)];
    if (left.some((value, i) => !Object.is(value, right[i]))) return false;
  }
  return true;
}

/**
 * The recipe of a checkpoint. Like transformers, a configuration that ties the head to the embedding is overruled by
 * a checkpoint that holds two different matrices.
 */
async function checkedRecipe(
  config: Record<string, unknown>,
  dialect: Dialect,
  tensors: ReadonlyMap<string, CheckpointTensor>,
): Promise<{ recipe: Recipe; fields: ConfigFields }> {
  const fields = new ConfigFields(config);
  const recipe = recipeOf(fields);
  if (!recipe.tiedHead) return { recipe, fields };
  const untied = new ConfigFields({ ...config, tie_word_embeddings: false });
  const untiedRecipe = recipeOf(untied);
  const sourceOf = (role: TensorSpec["role"]) => {
    const tensor = untiedRecipe.tensors.find((one) => one.role === role)!;
    return tensors.get(dialect.values(tensor, untiedRecipe)[0]!.name);
  };
  const [head, embedding] = [sourceOf("head"), sourceOf("embedding")];
  if (!head || !embedding || (await sameTensor(head, embedding))) return { recipe, fields };
  return { recipe: untiedRecipe, fields: untied };
}

/** Where everything comes from; found before anything is read. */
class Origins {
  readonly values = new Map<string, { tensor: TensorSpec; sources: Source[] }>();
  readonly biases = new Map<string, { tensor: TensorSpec; sources: Source[] }>();

  constructor(recipe: Recipe, dialect: Dialect) {
    for (const tensor of recipe.tensors) {
      this.values.set(tensor.name, { tensor, sources: dialect.values(tensor, recipe) });
      if (tensor.bias) this.biases.set(tensor.name, { tensor, sources: dialect.bias(tensor, recipe) });
    }
  }

  /** Names and shapes of the checkpoint's tensors that are needed. */
  *needed(): Generator<[name: string, shape: number[]]> {
    for (const { tensor, sources } of this.values.values())
      for (const { name, rows, transposed } of sources) {
        if (tensor.form === "vector") yield [name, [rows]];
        else yield [name, transposed ? [tensor.columns, rows] : [rows, tensor.columns]];
      }
    for (const { sources } of this.biases.values())
      for (const { name, rows } of sources) yield [name, [rows]];
  }
}

/** Heads for other tasks than text: trl's value heads, and those of transformers' classifiers. It leaves them aside, too. */
const OTHER_HEADS = /^(v_head|value_head|score|classifier|qa_outputs)\./;

/** @throws EdgeformerError `invalid_model` if tensors are missing, left over or of the wrong shape */
function checkTensors(
  origins: Origins,
  recipe: Recipe,
  dialect: Dialect,
  tensors: ReadonlyMap<string, CheckpointTensor>,
): void {
  const unused = new Set(tensors.keys());
  const missing: string[] = [];
  const misshapen: string[] = [];
  for (const [name, shape] of origins.needed()) {
    const tensor = tensors.get(name);
    unused.delete(name);
    if (!tensor) missing.push(name);
    else if (tensor.shape.join() !== shape.join())
      misshapen.push(`${name} is [${tensor.shape}] instead of [${shape}]`);
  }
  // A tied head may be stored a second time; checkedRecipe has compared it.
  if (recipe.tiedHead) {
    const head: TensorSpec = { ...recipe.tensors.find(({ role }) => role === "embedding")!, role: "head" };
    for (const { name } of dialect.values(head, recipe)) unused.delete(name);
  }
  const extra = [...unused].filter((name) => !dialect.ignored.test(name) && !OTHER_HEADS.test(name));
  const fail = (message: string) => {
    throw new EdgeformerError("invalid_model", `the checkpoint does not match its configuration: ${message}`);
  };
  if (missing.length > 0) fail(`missing tensors: ${listed(missing)}`);
  if (misshapen.length > 0) fail(listed(misshapen));
  if (extra.length > 0) fail(`tensors that ${recipe.architecture} does not have: ${listed(extra)}`);
}

/**
 * Matches a checkpoint's tensors against what its configuration needs, before any of them is read.
 *
 * @param config what config.json holds, or says in its layout what the checkpoint is
 * @param onWarning told what the checkpoint holds beside the model
 * @throws EdgeformerError `invalid_model` if the two do not match; what the architecture throws
 */
export async function openWeights(
  checkpoint: Checkpoint,
  config: Record<string, unknown>,
  dialect: Dialect,
  onWarning?: (message: string) => void,
): Promise<Weights> {
  const tensors = canonicalTensors(checkpoint, dialect);
  const { recipe, fields } = await checkedRecipe(config, dialect, tensors);
  const origins = new Origins(recipe, dialect);
  checkTensors(origins, recipe, dialect, tensors);
  const heads = [...tensors.keys()].filter((name) => OTHER_HEADS.test(name));
  if (heads.length > 0) onWarning?.(`${listed(heads)}: a head for another task than text, which is left out`);

  const read = async (name: string, start: number, count: number) => {
    const values = await (tensors.get(name) as CheckpointTensor).read(start, count);
    if (!allFinite(values))
      throw new EdgeformerError("invalid_model", `${name} holds NaN or infinite weights`);
    return values;
  };
  /** The rows of one source in the recipe's orientation and order. */
  const openSource = async ({ name, rows, transposed, rowOrder }: Source, columns: number) => {
    if (transposed) {
      const whole = transpose(await read(name, 0, rows * columns), columns, rows);
      return async (first: number, count: number) =>
        whole.subarray(first * columns, (first + count) * columns);
    }
    return async (first: number, count: number) => {
      const { start, length, order } = spanOf(rowOrder, first, count);
      const values = await read(name, start * columns, length * columns);
      return order === undefined ? values : pickRows(values, order, columns);
    };
  };
  /** The same as the file's own groups; undefined where it has none. */
  const groupsOf = ({ name, transposed, rowOrder }: Source) => {
    const { grouped } = tensors.get(name) as CheckpointTensor;
    if (grouped === undefined || transposed) return undefined;
    return async (first: number, count: number) => {
      const { start, length, order } = spanOf(rowOrder, first, count);
      const rows = await grouped(start, length);
      return order === undefined ? rows : pickGroups(rows, order);
    };
  };
  const dtypes = (sources: Source[]) =>
    sources.map(({ name }) => (tensors.get(name) as CheckpointTensor).dtype);
  const stacked = async (sources: Source[]) => {
    const parts: Float32Array[] = [];
    for (const source of sources) parts.push(await (await openSource(source, 1))(0, source.rows));
    return concatenate(parts);
  };
  return {
    recipe,
    config: fields.resolved,
    dtypes: (name) => dtypes(origins.values.get(name)!.sources),
    async matrix(name) {
      const { tensor, sources } = origins.values.get(name)!;
      const { rows, columns } = tensor;
      const readers = await Promise.all(sources.map((source) => openSource(source, columns)));
      const groups = sources.flatMap((source) => groupsOf(source) ?? []);
      const bits = new Set(dtypes(sources).map(groupBits));
      return {
        rows,
        columns,
        read: async (first, count) => concatenate(await readStacked(sources, readers, first, count)),
        ...(groups.length === sources.length &&
          bits.size === 1 && {
            grouped: async (first, count) =>
              concatenateGroups(await readStacked(sources, groups, first, count)),
          }),
      };
    },
    async vector(name) {
      const { tensor, sources } = origins.values.get(name)!;
      if (tensor.role === "rotary" && recipe.positions.kind === "rotary")
        return rotaryFrequencies(recipe.positions);
      return stacked(sources);
    },
    bias: (name) => stacked(origins.biases.get(name)!.sources),
    close: () => checkpoint.close(),
  };
}

function allFinite(values: Float32Array): boolean {
  // 0 times infinity or NaN is NaN, and NaN stays.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) * 0;
  return sum === 0;
}
