import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RawTensor, rawTensors, safetensorsFile } from "./checkpoints.ts";

/** What to do to a checkpoint; `write` and `remove` come last. */
export type Change = (files: {
  tensors: Record<string, RawTensor>;
  config: Record<string, unknown>;
  write: (name: string, content: string | Buffer) => void;
  remove: (name: string) => void;
}) => void;

/** Copies a good checkpoint of one safetensors file to `directory` and changes it. */
export function spoil(good: string, directory: string, change: Change): void {
  cpSync(good, directory, { recursive: true });
  const tensors = rawTensors(readFileSync(join(directory, "model.safetensors")));
  const config = JSON.parse(readFileSync(join(directory, "config.json"), "utf8")) as Record<string, unknown>;
  const write = (name: string, content: string | Buffer) => writeFileSync(join(directory, name), content);
  const later: (() => void)[] = [];
  change({
    tensors,
    config,
    write: (name, content) => later.push(() => write(name, content)),
    remove: (name) => later.push(() => rmSync(join(directory, name))),
  });
  write("model.safetensors", safetensorsFile(tensors));
  write("config.json", JSON.stringify(config));
  for (const step of later) step();
}

/** The bytes of a float32. */
export function float(value: number): Uint8Array {
  return new Uint8Array(Float32Array.of(value).buffer);
}
