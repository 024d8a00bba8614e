// A thread of a QuantizerPool: answers each message with what the quantizer's method of that name returns.

import { parentPort } from "node:worker_threads";
import { Quantizer } from "./quantizer.ts";
import type { QuantizerAnswer, QuantizerCall } from "./quantizer-pool.ts";

const port = parentPort;
if (port === null) throw new Error("this file is the entry of a worker thread");
const quantizer = await Quantizer.create();
port.on("message", ({ method, args }: QuantizerCall) => {
  let answer: QuantizerAnswer;
  try {
    answer = { value: (quantizer[method] as (...given: unknown[]) => unknown)(...args) };
  } catch (error) {
    answer = { error };
  }
  port.postMessage(answer);
});
