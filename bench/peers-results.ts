// What `npm run bench:peers` keeps.
import type { Machine } from "./measure.ts";

export const PEERS = ["edgeformer", "llama.cpp", "onnxruntime-node", "onnxruntime-web", "wllama"] as const;
export type PeerName = (typeof PEERS)[number];

export interface PeerSamples {
  /** Tokens per second of a 128-token prompt. */
  prefill: number[];
  /** Tokens per second of the 128 tokens after it. */
  decode: number[];
}

export interface PeerResults {
  machine: Machine;
  rounds: number;
  shape: string;
  /** Bytes per second. */
  bandwidth: number[];
  /** Of edgeformer, and of the bandwidth, one sample beside each other peer's of each round, in PEERS' order. */
  peers: Record<PeerName, PeerSamples>;
  /** Tokens per second of the first 128-token prompt of a new process, one process for each round. */
  firstPrompt: Record<PeerName, number[]>;
}

/** edgeformer's samples that were taken right before those of another peer. */
export function besidePeer({ peers }: PeerResults, name: PeerName): PeerSamples {
  const others: PeerName[] = PEERS.filter((peer) => peer !== "edgeformer");
  const own = (samples: number[]) => samples.filter((_, i) => i % others.length === others.indexOf(name));
  return { prefill: own(peers.edgeformer.prefill), decode: own(peers.edgeformer.decode) };
}
