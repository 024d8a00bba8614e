import { EdgeformerError } from "../errors.ts";

/** What system errors mean, for people. */
const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOTDIR: "a file is where a directory should be",
  EEXIST: "a file is where a directory should be",
  EISDIR: "a directory is where a file should be",
  ENOENT: "no such file or directory",
  EFBIG: "the file would be larger than allowed",
};

/** What went wrong, in one sentence. */
export function describeError(error: unknown): string {
  const { code, path, dest } = error as NodeJS.ErrnoException & { dest?: string };
  if (error instanceof EdgeformerError || code === undefined || !Object.hasOwn(SYSTEM_ERRORS, code))
    return error instanceof Error ? error.message : String(error);
  const where = dest ?? path;
  return where === undefined ? (SYSTEM_ERRORS[code] as string) : `${SYSTEM_ERRORS[code]}: ${where}`;
}
