import { directorySource, engineModule, openModel } from "../src/node/index.ts";
import { readerBinary } from "./bandwidth.ts";
import { modelDirectory } from "./models.ts";
import { bytesPerStep, type Shape } from "./shapes.ts";
import { Subject } from "./subject.ts";

/** The subject in this process. */
export async function nodeSubject(shape: Shape, engine?: WebAssembly.Module): Promise<Subject> {
  const readBytes = bytesPerStep(shape);
  const directory = await modelDirectory(shape);
  const module = engine ?? (await engineModule());
  return Subject.create({
    engine: module,
    readers: await WebAssembly.compile(readerBinary(readBytes)),
    source: directorySource(directory),
    open: (options) => openModel(directory, { ...options, module }),
    readBytes,
  });
}
