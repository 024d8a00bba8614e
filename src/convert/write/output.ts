import { randomUUID } from "node:crypto";
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, rmdir, stat, unlink } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { EdgeformerError } from "../../errors.ts";
import { MAX_MANIFEST_BYTES } from "../../format/manifest.ts";
import { isRunning } from "../../node/is-running.ts";
import { readWhole } from "../inputs/bytes.ts";
import { isModelCard } from "./model-card.ts";

/** What a conversion writes. */
const WRITTEN = /^(model\.json|README\.md|tokenizer\.bin|weights\.\d+\.bin)$/;
/** What a split writes besides, and the directories that it makes. */
const SPLIT_FILE = /^(package\.json|start\.mjs|wrangler\.toml|worker\.js)$/;
const SPLIT_DIRECTORY = /^(front|stage-\d+|model)$/;
const MAX_CARD_BYTES = 100_000;

function refuse(message: string): never {
  throw new EdgeformerError("invalid_option", message, { param: "out" });
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** What is in a directory, or undefined if there is none. */
export async function contents(directory: string): Promise<string[] | undefined> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    if (codeOf(error) === "ENOTDIR") refuse(`${directory} is a file; --out must be a directory`);
    throw error;
  }
}

/** The files that a model.json names; undefined if it is none of ours. */
async function namedFiles(directory: string): Promise<unknown[] | undefined> {
  try {
    const bytes = await readWhole(join(directory, "model.json"), "model.json", MAX_MANIFEST_BYTES);
    const manifest = JSON.parse(new TextDecoder().decode(bytes));
    if (manifest?.format !== "edgeformer" || !Array.isArray(manifest.parts)) return undefined;
    return [...manifest.parts, manifest.tokenizer].map((file) => file?.file);
  } catch (error) {
    const isNone =
      error instanceof EdgeformerError || error instanceof SyntaxError || codeOf(error) === "ENOENT";
    if (isNone) return undefined;
    throw error;
  }
}

/** Splits what is in a directory into the files of the model there, and what is somebody else's. */
async function sortFiles(
  directory: string,
  names: readonly string[],
): Promise<{ ours: string[]; others: string[] }> {
  const named = await namedFiles(directory);
  const ours: string[] = [];
  const others: string[] = [];
  for (const name of names) {
    const path = join(directory, name);
    const stats = await lstat(path);
    const written = named !== undefined && WRITTEN.test(name) && stats.isFile();
    const known =
      written &&
      (name === "README.md"
        ? stats.size < MAX_CARD_BYTES && isModelCard(await readFile(path, "utf8"))
        : name === "model.json" || named.includes(name));
    (known ? ours : others).push(name);
  }
  return { ours, others };
}

/**
 * Where a directory is, or would be: the end of a link rather than the link. One that is there is replaced by another of its
 * name, which cannot be where a file system begins, and must not be where somebody stands.
 */
async function realTarget(out: string): Promise<string> {
  const target = resolve(out);
  try {
    const real = await realpath(target);
    if (real === (await realpath(process.cwd())))
      refuse(`${out} is the directory that you are in; choose one within it, or go out of it`);
    if ((await stat(real)).dev !== (await stat(dirname(real))).dev)
      refuse(`${out} is where a file system begins; choose a directory within it`);
    return real;
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    const isLink = await lstat(target).then(
      (stats) => stats.isSymbolicLink(),
      () => false,
    );
    return isLink ? refuse(`${out} is a link to nothing; choose another --out`) : target;
  }
}

/**
 * Refuses an output directory that cannot be replaced, or that holds something already, unless it is a model, nothing but a model, and `force` is set.
 *
 * @throws EdgeformerError `invalid_option`
 */
export async function checkOutput(out: string, force: boolean): Promise<void> {
  await realTarget(out);
  const files = await contents(out);
  if (files === undefined || files.length === 0) return;
  if ((await namedFiles(out)) === undefined)
    refuse(`${out} exists and is not a model directory; choose another --out`);
  if (!force) refuse(`${out} holds a model already; choose another --out, or replace it with --force`);
  const { others } = await sortFiles(out, files);
  const more = others.length > 4 ? ` and ${others.length - 4} more` : "";
  if (others.length > 0)
    refuse(
      `${out} holds files that are not the model's: ${others.slice(0, 4).join(", ")}${more}; move them away, or choose another --out`,
    );
}

/** Removes the files of a model, and the directory if nothing else is in it. */
async function removeModel(directory: string): Promise<void> {
  const { ours } = await sortFiles(directory, await readdir(directory));
  // model.json last: it says what is ours.
  for (const name of ours.sort((a, b) => Number(a === "model.json") - Number(b === "model.json")))
    await unlink(join(directory, name));
  await rmdir(directory).catch(() => {});
}

/** Directories beside the target, named after it, the machine and the process, so that no two runs share one. */
class Aside {
  readonly #parent: string;
  readonly #prefix: string;
  readonly path: string;
  readonly replaced: string;

  constructor(target: string) {
    this.#parent = dirname(target);
    const host = hostname().replace(/[^\w.-]/g, "_");
    this.#prefix = `.${basename(target).slice(0, 100)}.${host.slice(0, 60)}-`;
    const id = `${process.pid}-${randomUUID().slice(0, 8)}`;
    this.path = join(this.#parent, `${this.#prefix}${id}.partial`);
    this.replaced = join(this.#parent, `${this.#prefix}${id}.replaced`);
  }

  /** Removes what runs on this machine left that were killed. */
  async clearAbandoned(): Promise<void> {
    for (const name of await readdir(this.#parent)) {
      const match = name.startsWith(this.#prefix)
        ? /^(\d+)-[0-9a-f]{8}\.(partial|replaced)$/.exec(name.slice(this.#prefix.length))
        : null;
      if (match === null || isRunning(Number(match[1]))) continue;
      await removeWritten(join(this.#parent, name));
    }
  }
}

/** Removes the files that are written here and no others, and directories that are empty then. Another run may be at it, too. */
export async function removeWritten(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
    const path = join(directory, entry.name);
    if (entry.isDirectory() && SPLIT_DIRECTORY.test(entry.name)) await removeWritten(path);
    else if (WRITTEN.test(entry.name) || SPLIT_FILE.test(entry.name)) await unlink(path).catch(() => {});
  }
  await rmdir(directory).catch(() => {});
}

/** Renames a directory to where nothing is; says so if another run has been faster. */
async function renameTo(from: string, target: string): Promise<void> {
  try {
    await rename(from, target);
  } catch (error) {
    if (!["ENOTEMPTY", "EEXIST"].includes(codeOf(error) ?? "")) throw error;
    refuse(`${target} was written by somebody else while this conversion ran; nothing of it was changed`);
  }
}

/** Which directory is at a path; undefined if none is. */
async function identity(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ ino }) => ino,
    () => undefined,
  );
}

/** Moves a model that is to be replaced out of the way; whether there was one. */
async function moveAway(aside: Aside, target: string, force: boolean): Promise<boolean> {
  for (;;) {
    const before = await identity(target);
    try {
      if (!(await contents(target))?.length) return false;
      await checkOutput(target, force);
      await rename(target, aside.replaced);
      return true;
    } catch (error) {
      // Another run may have put another directory there in the middle of this; then the check said nothing.
      if ((await identity(target)) === before) throw error;
    }
  }
}

/** Puts a finished model in place of what is at `target`. */
async function install(aside: Aside, target: string, force: boolean): Promise<void> {
  if (!(await moveAway(aside, target, force))) return renameTo(aside.path, target);
  try {
    // What was put there after the check.
    const { others } = await sortFiles(aside.replaced, await readdir(aside.replaced));
    if (others.length > 0) refuse(`${target} holds files that are not the model's: ${others[0]}`);
    await renameTo(aside.path, target);
  } catch (error) {
    // Where another run has put its model in between, the old one is replaced all the same.
    await rename(aside.replaced, target).catch(() => removeModel(aside.replaced));
    throw error;
  }
  await removeModel(aside.replaced);
}

/**
 * Lets `write` fill a directory beside `out` and renames it to `out` at the end, so that `out` is there in
 * full or not at all, however many do the same. What a killed run left beside `out` is removed by the next one.
 *
 * @throws EdgeformerError `invalid_option` as `checkOutput` does, or if another run has written `out` meanwhile
 */
export async function writeAside<T>(
  out: string,
  force: boolean,
  write: (directory: string) => Promise<T>,
): Promise<T> {
  const target = await realTarget(out);
  await checkOutput(target, force);
  const created = await mkdir(dirname(target), { recursive: true });
  const aside = new Aside(target);
  try {
    await aside.clearAbandoned();
    await mkdir(aside.path);
    const result = await write(aside.path);
    await install(aside, target, force);
    return result;
  } catch (error) {
    await rm(aside.path, { recursive: true, force: true });
    if (created !== undefined) await removeEmpty(dirname(target), created);
    throw error;
  }
}

/** Removes empty directories from `directory` up to `top`. */
async function removeEmpty(directory: string, top: string): Promise<void> {
  try {
    await rmdir(directory);
    if (directory !== resolve(top)) await removeEmpty(dirname(directory), top);
  } catch {
    // Somebody uses it by now.
  }
}
