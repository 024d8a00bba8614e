import { createHash } from "node:crypto";
import { copyFile, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundledModel } from "../../src/node/index.ts";

/** A chat template of the usual kind: a tag for each role, and it insists on turns. */
export const TEMPLATE = `{{ bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'assistant' and loop.first %}
        {{- raise_exception('A conversation begins with the user.') }}
    {%- endif %}
    {{- '<|' + message['role'] + '|>\\n' + message['content'] | trim + eos_token + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\\n' }}
{%- endif %}`;

/**
 * The bundled model in a directory of its own, with a few fields of its model.json set to something else.
 *
 * @param fields `table` is a tokenizer.bin to put in place of the model's own
 */
export async function modelWith({
  table,
  ...fields
}: Record<string, unknown> & { table?: Uint8Array }): Promise<string> {
  const from = bundledModel();
  const directory = await mkdtemp(join(tmpdir(), "edgeformer-chat-"));
  for (const file of await readdir(from))
    if (file !== "model.json") await copyFile(join(from, file), join(directory, file));
  const manifest = JSON.parse(await readFile(join(from, "model.json"), "utf8")) as object;
  if (table !== undefined) {
    await writeFile(join(directory, "tokenizer.bin"), table);
    const sha256 = createHash("sha256").update(table).digest("hex");
    fields.tokenizer = { file: "tokenizer.bin", bytes: table.length, sha256 };
  }
  await writeFile(join(directory, "model.json"), JSON.stringify({ ...manifest, ...fields }));
  return directory;
}
