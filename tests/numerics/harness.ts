import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convert } from "../../src/convert/convert.ts";
import { Engine } from "../../src/engine/engine.ts";
import { type MemoryOptions, planMemory } from "../../src/engine/memory.ts";
import type { Manifest } from "../../src/format/manifest.ts";
import { loadManifest } from "../../src/loading/load.ts";
import { directorySource, engineModule } from "../../src/node/index.ts";

export interface Row {
  token: number;
  position: number;
  sequence: number;
}

/** A directory that disappears when `use` is done. */
export async function withDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "edgeformer-"));
  try {
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Converts the awkward fixture into `directory`/odd-gpt2. */
export async function convertOdd(directory: string): Promise<string> {
  const out = join(directory, "odd-gpt2");
  await convert({ source: "tests/fixtures/odd-gpt2", out });
  return out;
}

/** The engine without scheduler and text: rows in, logits out, the way the scheduler drives it. */
export class EngineHarness {
  readonly engine: Engine;
  readonly vocabulary: number;

  private constructor(engine: Engine, manifest: Manifest) {
    this.engine = engine;
    this.vocabulary = manifest.recipe.vocabSize;
  }

  static async open(directory: string, options: MemoryOptions = {}): Promise<EngineHarness> {
    const source = directorySource(directory);
    const manifest = await loadManifest(source);
    const engine = new Engine(await engineModule(), manifest, planMemory(manifest, options));
    let offset = 0;
    for (const part of manifest.parts)
      for await (const chunk of await source.open(part.file)) {
        engine.writeWeights(offset, chunk);
        offset += chunk.length;
      }
    return new EngineHarness(engine, manifest);
  }

  /** Gives a sequence slot these blocks; without them, the ones that no other slot has by default. */
  setBlocks(sequence: number, blocks?: number[]): void {
    const { blocksPerSequence } = this.engine.plan;
    for (let i = 0; i < blocksPerSequence; i++)
      this.engine.setBlock(sequence, i, blocks?.[i] ?? sequence * blocksPerSequence + i);
  }

  /** One forward pass; the logits of the rows listed in `wanted` (ascending), all rows without it. */
  run(rows: Row[], wanted: number[] = rows.map((_, i) => i)): Float32Array[] {
    const { engine } = this;
    rows.forEach(({ token, position, sequence }, i) => void engine.setRow(i, token, position, sequence));
    wanted.forEach((row, i) => void engine.setWanted(i, row));
    engine.forward(rows.length, wanted.length);
    const logits: Float32Array[] = [];
    for (let first = 0; first < wanted.length; first += engine.plan.logitsSlots) {
      const count = Math.min(engine.plan.logitsSlots, wanted.length - first);
      engine.head(first, count);
      for (let slot = 0; slot < count; slot++)
        logits.push(Float32Array.from({ length: this.vocabulary }, (_, id) => engine.logit(slot, id)));
    }
    return logits;
  }

  /** Logits after each token of one sequence, computed one token at a time. */
  stepByStep(ids: number[], sequence = 0): Float32Array[] {
    return ids.flatMap((token, position) => this.run([{ token, position, sequence }]));
  }
}
