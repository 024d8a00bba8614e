import { describe, expect, test } from "vitest";
import { type BlockLease, KvCache } from "../../src/serving/kvcache.ts";
import { uniform } from "../reference/random.ts";

const ids = (count: number, first = 0) => Array.from({ length: count }, (_, i) => first + i);

function filled(cache: KvCache, tokens: number[], count: number): BlockLease {
  const lease = cache.acquire(tokens, count, tokens.length - 1)!;
  cache.publish(lease, tokens, tokens.length);
  return lease;
}

describe("the KV cache", () => {
  test("gives blocks and takes them back", () => {
    const cache = new KvCache(4);
    const lease = cache.acquire(ids(40), 3, 39)!;
    expect(new Set(lease.blocks).size).toBe(3);
    expect(cache.available).toBe(1);
    expect(cache.acquire(ids(40, 100), 2, 39)).toBeUndefined();
    expect(cache.available).toBe(1);
    cache.release(lease);
    expect(cache.available).toBe(4);
  });

  test("finds a published prefix, while it is held and after", () => {
    const cache = new KvCache(8);
    const first = filled(cache, ids(40), 3);
    const second = cache.acquire([...ids(32), 900, 901], 3, 33)!;
    expect(second.cachedPositions).toBe(32);
    expect(second.blocks.slice(0, 2)).toEqual(first.blocks.slice(0, 2));
    expect(second.blocks[2]).not.toBe(first.blocks[2]);
    cache.release(first);
    cache.release(second);
    expect(cache.available).toBe(8);
    expect(cache.acquire(ids(40), 3, 39)!.cachedPositions).toBe(32);
  });

  test("never shares the block of a position whose logits are wanted", () => {
    const cache = new KvCache(8);
    cache.release(filled(cache, ids(32), 2));
    expect(cache.cachedPositions(ids(32), 31)).toBe(16);
    expect(cache.cachedPositions(ids(32), 32)).toBe(32);
    expect(cache.cachedPositions(ids(32), 0)).toBe(0);
  });

  test("tells equal tokens behind different beginnings apart", () => {
    const cache = new KvCache(8);
    cache.release(filled(cache, ids(32), 2));
    expect(cache.cachedPositions([...ids(16, 500), ...ids(17, 16)], 32)).toBe(0);
  });

  test("shares blocks only within a salt", () => {
    const cache = new KvCache(12);
    const salted = (salt: string) => cache.acquire(ids(40), 3, 39, salt)!;
    const first = salted("a");
    cache.publish(first, ids(40), 40);
    for (const salt of ["", "b", "0", "aa", "a:0"]) {
      expect(cache.cachedPositions(ids(40), 39, salt)).toBe(0);
      const other = salted(salt);
      expect(other.cachedPositions).toBe(0);
      expect(other.blocks.filter((block) => first.blocks.includes(block))).toEqual([]);
      cache.publish(other, ids(40), 40);
      cache.release(other);
    }
    expect(salted("a").blocks.slice(0, 2)).toEqual(first.blocks.slice(0, 2));
  });

  test("does not publish a block before it is full", () => {
    const cache = new KvCache(8);
    const lease = cache.acquire(ids(31), 2, 30)!;
    cache.publish(lease, ids(31), 15);
    expect(cache.cachedPositions(ids(31), 30)).toBe(0);
    cache.publish(lease, ids(31), 16);
    expect(cache.cachedPositions(ids(31), 30)).toBe(16);
  });

  test("evicts the least recently used, the end of a text before its beginning", () => {
    const cache = new KvCache(4);
    cache.release(filled(cache, ids(33), 2));
    cache.release(filled(cache, ids(33, 100), 2));
    cache.release(cache.acquire(ids(33), 2, 32)!);
    const lease = cache.acquire(ids(8, 700), 1, 7)!;
    expect(cache.cachedPositions(ids(33, 100), 32)).toBe(16);
    expect(cache.cachedPositions(ids(33), 32)).toBe(32);
    cache.release(lease);
  });

  test("holds its books through 20,000 random moves", () => {
    const random = uniform(11);
    const cache = new KvCache(24);
    const texts = Array.from({ length: 8 }, (_, t) => [...ids(16 * (t % 3)), ...ids(48, 1000 * (t + 1))]);
    const leases: { lease: BlockLease; text: number[] }[] = [];
    for (let i = 0; i < 20_000; i++) {
      const text = texts[Math.floor(random() * texts.length)]!;
      if (random() < 0.5) {
        const lease = cache.acquire(text, Math.ceil(text.length / 16), text.length - 1);
        if (lease !== undefined) leases.push({ lease, text });
      } else if (leases.length > 0) {
        const [entry] = leases.splice(Math.floor(random() * leases.length), 1);
        if (random() < 0.8)
          cache.publish(entry!.lease, entry!.text, Math.floor(random() * entry!.text.length));
        cache.release(entry!.lease);
      }
      const held = new Set(leases.flatMap(({ lease }) => lease.blocks));
      expect(cache.available).toBe(24 - held.size);
      for (const { lease } of leases) expect(new Set(lease.blocks).size).toBe(lease.blocks.length);
    }
    for (const { lease } of leases) cache.release(lease);
    expect(cache.available).toBe(24);
  });
});
