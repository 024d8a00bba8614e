import type { GgufMetadata } from "./gguf-metadata.ts";

/** Who made a model and what one may do with it, as a GGUF file says (`general.…`). */
export interface GgufProvenance {
  name?: string;
  author?: string;
  organization?: string;
  version?: string;
  description?: string;
  /** An SPDX identifier, or "other". */
  license?: string;
  license_name?: string;
  license_link?: string;
  url?: string;
  repo_url?: string;
  source_url?: string;
  source_repo_url?: string;
  quantized_by?: string;
  languages?: readonly string[];
  tags?: readonly string[];
  /** Names, or addresses where there is no name. */
  base_models?: readonly string[];
}

const TEXTS: Readonly<Partial<Record<keyof GgufProvenance, string>>> = {
  name: "general.name",
  author: "general.author",
  organization: "general.organization",
  version: "general.version",
  description: "general.description",
  license: "general.license",
  license_name: "general.license.name",
  license_link: "general.license.link",
  url: "general.url",
  repo_url: "general.repo_url",
  source_url: "general.source.url",
  source_repo_url: "general.source.repo_url",
  quantized_by: "general.quantized_by",
};

/** What of it there is. A value of another type than the specification's is left out: nothing depends on it. */
export function ggufProvenance(metadata: GgufMetadata): GgufProvenance {
  const text = (key: string) => {
    const value = metadata.get(key);
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const texts = (key: string) => {
    const value = metadata.get(key);
    return Array.isArray(value) && value.length > 0 ? (value as string[]) : undefined;
  };
  const count = metadata.get("general.base_model.count");
  const bases = Array.from({ length: Math.min(typeof count === "number" ? count : 0, 16) }, (_, i) =>
    ["name", "repo_url", "url"].map((name) => text(`general.base_model.${i}.${name}`)).find(Boolean),
  ).filter((name) => name !== undefined);
  const found: Record<string, unknown> = {
    ...Object.fromEntries(Object.entries(TEXTS).map(([name, key]) => [name, text(key)])),
    languages: texts("general.languages"),
    tags: texts("general.tags"),
    base_models: bases.length > 0 ? bases : undefined,
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}
