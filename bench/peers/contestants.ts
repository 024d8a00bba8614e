// Who is measured on SmolLM2-135M-Instruct, and the files that each of them reads.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { convert } from "../../src/convert/convert.ts";
import { CACHE } from "../models.ts";
import { SHAPES } from "../shapes.ts";
import { writeLlamaOnnx } from "./onnx-llama.ts";
import type { Command } from "./process.ts";

/** What was given on the command line. */
export interface Sources {
  /** SmolLM2-135M-Instruct's Q4_1 file. */
  gguf: string;
  /** Where peers/llama-cpp/build.sh has built. */
  llama: string;
}

export interface Contestant {
  engine: string;
  /** How the weights are stored. */
  weights: string;
  /** Bits of most weights. */
  bits: 4 | 8;
  where: "native" | "Node" | "Chromium";
  /** Rounds that are enough, and tokens of a decode: fewer of what is slow. */
  rounds: number;
  decodeTokens: number;
  /** Tokens of each golden window that are scored, and windows. */
  scored?: { windows: number; tokens: number } | undefined;
  command: Command;
  /** What has to be brought to run it: the engine's code, and the model. */
  engineFiles: string[];
  modelFiles: string[];
}

/** ggml's numbers of file types (`llama_ftype`). */
const FILE_TYPES = { Q4_0: 2, Q8_0: 7 };
const SHAPE = SHAPES.smollm2!;
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const WHOLE = { windows: 2, tokens: 512 };

const directory = join(CACHE, "smollm2-instruct");
const packageDirectory = (name: string) => join(ROOT, "bench/node_modules", name);

/** The files of a directory that an engine in JavaScript consists of. */
function filesOf(path: string, names: RegExp): string[] {
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => names.test(name))
    .map((name) => join(path, name));
}

/** The path of a file of the model, made if it is not there. */
async function made(name: string, make: (path: string) => unknown): Promise<string> {
  const path = join(directory, name);
  if (!existsSync(path)) {
    console.error(`making ${name}`);
    await make(path);
  }
  return path;
}

/** The same model and engine in a page, whose V8 is newer than Node's. */
async function inChromium(own: Contestant): Promise<Contestant> {
  const engine = await made("engine.wasm", (path) => copyFileSync(own.engineFiles[0]!, path));
  await made("edgeformer.js", (path) =>
    build({
      entryPoints: [join(ROOT, "src/index.ts")],
      bundle: true,
      minify: true,
      format: "esm",
      target: "es2022",
      outfile: path,
    }),
  );
  return {
    engine: "edgeformer in a page",
    weights: own.weights,
    bits: own.bits,
    where: "Chromium",
    rounds: 5,
    decodeTokens: own.decodeTokens,
    command: [
      "chromium.mjs",
      "edgeformer.html",
      `model=/.cache/smollm2-instruct/${basename(own.command[1]!)}`,
    ],
    engineFiles: [engine],
    modelFiles: own.modelFiles,
  };
}

/** Makes every contestant's files, once, and says how each is started. */
export async function contestants({ gguf, llama }: Sources): Promise<Contestant[]> {
  mkdirSync(directory, { recursive: true });
  const native = resolve(llama, "native/driver");
  const wasm = ["driver.cjs", "driver.wasm"].map((name) => resolve(llama, "wasm", name));
  const quantized = (name: keyof typeof FILE_TYPES) =>
    made(`${name}.gguf`, (path) =>
      execFileSync(native, [resolve(gguf), String(FILE_TYPES[name]), path], { stdio: "ignore" }),
    );
  const ggufs = {
    Q4_0: await quantized("Q4_0"),
    Q4_1: await made("Q4_1.gguf", (path) => symlinkSync(resolve(gguf), path)),
    Q8_0: await quantized("Q8_0"),
  };
  const own = async (bits: 4 | 8): Promise<Contestant> => {
    // Codes that a file holds stay what they are: int8 comes from the file in eight bits.
    const source = bits === 4 ? ggufs.Q4_1 : ggufs.Q8_0;
    const model = await made(`edgeformer-${bits}`, (out) => convert({ source, out, bits }));
    return {
      engine: "edgeformer",
      weights: bits === 4 ? "four bits" : "int8",
      bits,
      where: "Node",
      rounds: 6,
      decodeTokens: 128,
      scored: WHOLE,
      command: ["edgeformer.ts", model],
      engineFiles: [join(ROOT, "build/engine.wasm")],
      modelFiles: filesOf(model, /^(weights\.\d+\.bin|tokenizer\.bin|model\.json)$/),
    };
  };
  const onnx = (kind: "four-bit" | "int8") =>
    made(`${kind}.onnx`, (path) => writeLlamaOnnx(SHAPE, ggufs.Q4_1, kind, path));
  const fast = { rounds: 5, decodeTokens: 128, scored: WHOLE };
  const slow = { rounds: 3, decodeTokens: 32, scored: WHOLE };

  const fourBits = await own(4);
  const list: Contestant[] = [fourBits, await own(8), await inChromium(fourBits)];
  for (const weights of ["Q4_0", "Q4_1", "Q8_0"] as const) {
    const shared = {
      weights,
      bits: weights === "Q8_0" ? (8 as const) : (4 as const),
      modelFiles: [ggufs[weights]],
    };
    list.push(
      {
        ...shared,
        ...fast,
        engine: "llama.cpp",
        where: "native",
        command: [native, ggufs[weights]],
        engineFiles: [native],
      },
      {
        ...shared,
        ...slow,
        decodeTokens: 64,
        engine: "llama.cpp in WebAssembly",
        where: "Node",
        // Emscripten 3.1.6 would take Node's fetch for a browser's.
        command: [process.execPath, "--no-experimental-fetch", wasm[0]!, ggufs[weights]],
        engineFiles: wasm,
      },
    );
    if (weights === "Q4_1") continue;
    for (const [major, version, binary] of [
      [2, "2.4.0", "esm/single-thread/wllama.wasm"],
      [3, "3.13.0", "esm/wasm/wllama.wasm"],
    ] as const) {
      const files = packageDirectory(`wllama-${major}`);
      list.push({
        ...shared,
        ...slow,
        engine: `wllama ${version}`,
        rounds: weights === "Q4_0" && major === 2 ? 3 : 2,
        where: "Chromium",
        scored: major === 2 ? { windows: 1, tokens: 128 } : undefined,
        command: [
          "chromium.mjs",
          "wllama.html",
          `version=${major}&model=/.cache/smollm2-instruct/${weights}.gguf`,
        ],
        engineFiles: [join(files, binary), join(files, "esm/index.js")],
      });
    }
  }
  for (const kind of ["four-bit", "int8"] as const) {
    const model = await onnx(kind);
    const shared = {
      weights: kind === "int8" ? "dynamic int8" : "MatMulNBits",
      bits: kind === "int8" ? (8 as const) : (4 as const),
      modelFiles: [model],
    };
    const sizes = [SHAPE.layers, SHAPE.keyValueHeads, SHAPE.width / SHAPE.heads].map(String);
    const web = join(packageDirectory("onnxruntime-web"), "dist");
    const node = packageDirectory("onnxruntime-node");
    list.push(
      {
        ...shared,
        ...fast,
        engine: "onnxruntime-node",
        where: "native",
        command: ["onnxruntime.mjs", "node", model, ...sizes],
        engineFiles: filesOf(node, /linux\/x64\/.*\.(node|so[.\d]*)$/),
      },
      {
        ...shared,
        ...slow,
        decodeTokens: kind === "int8" ? 32 : 8,
        engine: "onnxruntime-web",
        where: "Node",
        command: ["onnxruntime.mjs", "web", model, ...sizes],
        engineFiles: ["ort.node.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"].map(
          (name) => join(web, name),
        ),
      },
    );
  }
  return list;
}

/** Bytes of files together. */
export function bytesOf(files: string[]): number {
  return files.reduce((sum, file) => sum + statSync(file).size, 0);
}
