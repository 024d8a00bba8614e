// An AssemblyScript entry compiled together with the engine's sources, for what index.ts keeps to itself.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The module of an entry that imports from "./assembly/…", compiled as the release build is. */
export async function compileKernels(entry: string): Promise<Uint8Array<ArrayBuffer>> {
  let binary: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main(
    [
      "kernels.ts",
      "--baseDir",
      ROOT,
      "--config",
      "asconfig.json",
      "--target",
      "release",
      "--outFile",
      "kernels.wasm",
    ],
    {
      readFile: (name, directory) => {
        if (name === "kernels.ts") return entry;
        const path = join(directory, name);
        return existsSync(path) ? readFileSync(path, "utf8") : null;
      },
      writeFile: (name, contents) => {
        if (name === "kernels.wasm") binary = Uint8Array.from(contents as Uint8Array);
      },
    },
  );
  if (error || binary === undefined) throw new Error(`the kernels do not compile: ${stderr.toString()}`);
  return binary;
}
