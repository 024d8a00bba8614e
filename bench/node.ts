import { directorySource, engineModule } from "../src/node/index.ts";
import { readerBinary } from "./bandwidth.ts";
import { modelDirectory } from "./models.ts";
import { bytesPerStep, type Shape } from "./shapes.ts";
import { Subject } from "./subject.ts";

/** The subject in this process. */
export async function nodeSubject(shape: Shape): Promise<Subject> {
  const readBytes = bytesPerStep(shape);
  return Subject.create({
    engine: await engineModule(),
    readers: await WebAssembly.compile(readerBinary(readBytes)),
    source: directorySource(await modelDirectory(shape)),
    readBytes,
    pause: () => new Promise((resolve) => setImmediate(resolve)),
  });
}
