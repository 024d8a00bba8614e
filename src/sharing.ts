import { EdgeformerError } from "./errors.ts";

/** Whose work a sequence is. */
export interface Owner {
  /** Who asks. Clients take equal turns. */
  readonly client: string;
  /** What they ask for at once. The requests of a client take equal turns. */
  readonly request: string;
}

/** What a generation or a score shares with others, and how. */
export interface SharingOptions {
  /** The cache of keys and values is shared only with those who have the same salt. [the empty one] */
  cacheSalt?: string | undefined;
  /** Those with an owner take turns; those without come in the order of their arrival. */
  owner?: Owner | undefined;
}

function invalid(param: string, message: string): never {
  throw new EdgeformerError("invalid_option", `${param} ${message}`, { param });
}

/** @throws EdgeformerError `invalid_option` with `param` */
export function resolveSharing({ cacheSalt, owner }: SharingOptions): SharingOptions {
  if (cacheSalt !== undefined && typeof cacheSalt !== "string") invalid("cacheSalt", "must be a string");
  if (owner !== undefined && (typeof owner?.client !== "string" || typeof owner.request !== "string"))
    invalid("owner", "must have two strings, client and request");
  return { cacheSalt, owner };
}
