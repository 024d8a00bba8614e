import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { EdgeformerError } from "../../errors.ts";

/** What is in a directory, or undefined if there is none. */
async function contents(directory: string): Promise<string[] | undefined> {
  try {
    return await readdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (code === "ENOTDIR")
      throw new EdgeformerError("invalid_option", `${directory} is a file; --out must be a directory`, {
        param: "out",
      });
    throw error;
  }
}

/**
 * Refuses an output directory that holds something already, unless it is a model and `force` is set.
 *
 * @throws EdgeformerError `invalid_option`
 */
export async function checkOutput(out: string, force: boolean): Promise<void> {
  const files = await contents(out);
  if (files === undefined || files.length === 0) return;
  const refuse = (message: string): never => {
    throw new EdgeformerError("invalid_option", message, { param: "out" });
  };
  if (!files.includes("model.json"))
    refuse(`${out} exists and is not a model directory; choose another --out`);
  if (!force) refuse(`${out} holds a model already; choose another --out, or replace it with --force`);
}

/**
 * Lets `write` fill a directory beside `out` and renames it to `out` at the end, so that `out` is there in
 * full or not at all. What an interrupted run left beside `out` is removed by the next one.
 */
export async function writeAside<T>(
  out: string,
  force: boolean,
  write: (directory: string) => Promise<T>,
): Promise<T> {
  const target = resolve(out);
  await checkOutput(target, force);
  const aside = join(dirname(target), `.${basename(target)}.partial`);
  const replaced = join(dirname(target), `.${basename(target)}.replaced`);
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { recursive: true });
  try {
    const result = await write(aside);
    await rm(replaced, { recursive: true, force: true });
    if ((await contents(target)) !== undefined) await rename(target, replaced);
    await rename(aside, target);
    await rm(replaced, { recursive: true, force: true });
    return result;
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw error;
  }
}
