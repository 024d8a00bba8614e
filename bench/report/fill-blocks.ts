const BLOCK = /(<!-- report: ([\w-]+) -->\n)[\s\S]*?(\n<!-- end of report -->)/g;

/**
 * A page with the blocks between its markers replaced: `<!-- report: NAME -->` … `<!-- end of report -->`.
 *
 * @throws Error for a name that there is no block for
 */
export function fillBlocks(path: string, page: string, blocks: Record<string, string>): string {
  return page.replace(BLOCK, (_, start: string, name: string, end: string) => {
    const block = blocks[name];
    if (block === undefined) throw new Error(`${path}: the report has no block "${name}"`);
    return start + block.trimEnd() + end;
  });
}

/** A page without what the report writes. */
export function withoutBlocks(page: string): string {
  return page.replace(BLOCK, "");
}
