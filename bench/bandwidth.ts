// How fast one thread of wasm can read memory: what a decode step is held against. No single access pattern is
// the fastest on every machine, so there are several, and the best counts.
import binaryen from "binaryen";

const STREAMS = [1, 2, 4, 8, 16] as const;
/** Bytes that each stream reads per turn: a cache line, or four. */
const STRIDES = [64, 256] as const;

/** A function (bytes) → i32 that reads `bytes` from 0 on, in `streams` equal parts side by side. */
function reader(streams: number, stride: number): string {
  const ACCUMULATORS = 4;
  const loads: string[] = [];
  for (let stream = 0; stream < streams; stream++)
    for (let at = 0; at < stride; at += 16) {
      const sum = `$sum${(at / 16) % ACCUMULATORS}`;
      loads.push(
        `(local.set ${sum} (v128.xor (local.get ${sum}) (v128.load offset=${at} (local.get $at${stream}))))`,
      );
    }
  const streamLocals = Array.from({ length: streams }, (_, i) => `(local $at${i} i32)`);
  const starts = Array.from(
    { length: streams },
    (_, i) => `(local.set $at${i} (i32.mul (local.get $part) (i32.const ${i})))`,
  );
  const steps = Array.from(
    { length: streams },
    (_, i) => `(local.set $at${i} (i32.add (local.get $at${i}) (i32.const ${stride})))`,
  );
  return `
    (func (export "read_${streams}_${stride}") (param $bytes i32) (result i32)
      (local $part i32) ${streamLocals.join(" ")}
      (local $sum0 v128) (local $sum1 v128) (local $sum2 v128) (local $sum3 v128)
      (local.set $part
        (i32.mul (i32.div_u (local.get $bytes) (i32.const ${streams * stride})) (i32.const ${stride})))
      ${starts.join("\n")}
      (loop $again
        ${loads.join("\n")}
        ${steps.join("\n")}
        (br_if $again (i32.lt_u (local.get $at0) (local.get $part))))
      (i32x4.extract_lane 0
        (v128.xor (v128.xor (local.get $sum0) (local.get $sum1)) (v128.xor (local.get $sum2) (local.get $sum3)))))`;
}

/** The readers as a wasm binary with `bytes` of memory: functions of the number of bytes to read. */
export function readerBinary(bytes: number): Uint8Array<ArrayBuffer> {
  const pages = Math.ceil(bytes / 65536);
  const functions = STREAMS.flatMap((streams) => STRIDES.map((stride) => reader(streams, stride)));
  const module = binaryen.parseText(`(module (memory (export "memory") ${pages}) ${functions.join("\n")})`);
  module.setFeatures(binaryen.Features.SIMD128);
  const binary = Uint8Array.from(module.emitBinary());
  module.dispose();
  return binary;
}
