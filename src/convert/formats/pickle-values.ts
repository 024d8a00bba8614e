// What a pickle of tensors is made of, and the few things that it may have built.
import { EdgeformerError } from "../../errors.ts";
import { excerpt } from "../../excerpt.ts";

/** torch's storage classes and the dtypes (safetensors' names) of their elements. */
const STORAGE_DTYPES: Readonly<Record<string, string>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

/** A block of elements that lies elsewhere in the file. */
export class PickledStorage {
  readonly dtype: string;
  readonly key: string;
  readonly elements: number;

  constructor(dtype: string, key: string, elements: number) {
    this.dtype = dtype;
    this.key = key;
    this.elements = elements;
  }
}

/** A view of a storage. */
export class PickledTensor {
  readonly storage: PickledStorage;
  /** In elements, like the strides. */
  readonly offset: number;
  readonly shape: number[];
  readonly strides: number[];

  constructor(storage: PickledStorage, offset: number, shape: number[], strides: number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

/** A name from the short list of things that the reader knows how to build. */
export class KnownGlobal {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** A tuple, told from a list so that it cannot be appended to. */
export class Tuple {
  readonly items: unknown[];

  constructor(items: unknown[]) {
    this.items = items;
  }
}

const BUILDERS = [
  "collections.OrderedDict",
  "torch._utils._rebuild_tensor",
  "torch._utils._rebuild_tensor_v2",
  "torch._utils._rebuild_parameter",
];

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function counts(value: unknown): number[] | undefined {
  return value instanceof Tuple && value.items.every(isCount) ? (value.items as number[]) : undefined;
}

function fail(file: string, message: string): never {
  throw new EdgeformerError("invalid_model", `${file}: ${message}`);
}

/** A name that the pickle refers to; only those that this file can build are known. */
export function knownGlobal(module: string, name: string, file: string): KnownGlobal {
  const full = `${module}.${name}`;
  if (BUILDERS.includes(full) || (module === "torch" && Object.hasOwn(STORAGE_DTYPES, name)))
    return new KnownGlobal(full);
  return fail(
    file,
    `the pickle in it wants ${excerpt(full)}, which is no part of a tensor; nothing was executed. Ask for a safetensors file`,
  );
}

/** What a persistent id stands for: ("storage", class, key, device, elements). */
export function persistentStorage(id: unknown, file: string): PickledStorage {
  const [kind, type, key, , elements, view] = id instanceof Tuple ? id.items : [];
  const name = type instanceof KnownGlobal ? type.name.replace("torch.", "") : "";
  const dtype = Object.hasOwn(STORAGE_DTYPES, name) ? STORAGE_DTYPES[name] : undefined;
  if (kind !== "storage" || dtype === undefined || typeof key !== "string" || !isCount(elements))
    return fail(file, "the pickle in it refers to something that is no tensor storage");
  if (view !== undefined && view !== null)
    fail(file, "the pickle in it was written by a version of torch before 0.4, which is not supported");
  return new PickledStorage(dtype, key, elements);
}

/** `_rebuild_tensor_v2(storage, offset, shape, strides, …)`; what follows says nothing about the weights. */
function rebuildTensor(args: unknown[], file: string): PickledTensor {
  const [storage, offset, shape, strides] = [args[0], args[1], counts(args[2]), counts(args[3])];
  if (!(storage instanceof PickledStorage) || !isCount(offset) || !shape || shape.length !== strides?.length)
    return fail(file, "the pickle in it describes a tensor that makes no sense");
  const last = shape.reduce((sum, size, i) => sum + (size - 1) * (strides[i] as number), offset);
  if (!shape.includes(0) && !(last < storage.elements))
    fail(file, `a tensor reaches to element ${last} of a storage of ${storage.elements}`);
  // Strides of 0 repeat elements: a file of a few bytes could claim a tensor of any size.
  const size = shape.reduce((product, length) => product * length, 1);
  if (size > storage.elements)
    fail(
      file,
      `a tensor has ${size} elements in a storage of ${storage.elements}; save it with .contiguous()`,
    );
  return new PickledTensor(storage, offset, shape, strides);
}

/** What a known name makes of its arguments; undefined if the call makes no sense. */
export function build(callable: unknown, args: unknown, file: string): unknown {
  if (!(callable instanceof KnownGlobal) || !(args instanceof Tuple)) return undefined;
  switch (callable.name) {
    case "collections.OrderedDict":
      return args.items.length === 0 ? new Map() : undefined;
    case "torch._utils._rebuild_parameter":
      return args.items[0] instanceof PickledTensor ? args.items[0] : undefined;
    case "torch._utils._rebuild_tensor":
    case "torch._utils._rebuild_tensor_v2":
      return rebuildTensor(args.items, file);
    default:
      return fail(file, `the pickle in it calls ${callable.name}`);
  }
}
