/** The KV blocks of the arena: which are free (PagedAttention's block allocator, Kwon et al. 2023). */
export class KvCache {
  private readonly free: number[];

  constructor(readonly blocks: number) {
    this.free = Array.from({ length: blocks }, (_, i) => blocks - 1 - i);
  }

  get freeBlocks(): number {
    return this.free.length;
  }

  /** Takes `count` blocks, or none and returns undefined when there are not enough. */
  allocate(count: number): number[] | undefined {
    return count > this.free.length ? undefined : this.free.splice(this.free.length - count, count);
  }

  release(blocks: readonly number[]): void {
    this.free.push(...blocks);
  }
}
