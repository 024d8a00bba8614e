import type { SchemaFormat } from "../../openai/wire/asked-format.ts";
import { AnswerError } from "./answer-error.ts";
import { element, on, showError } from "./dom.ts";

/** The properties of the objects that the buttons put into the field, by the buttons' words. */
const EXAMPLES: Record<string, object> = {
  "A person": {
    name: { type: "string", maxLength: 30 },
    age: { type: "integer", minimum: 0, maximum: 120 },
    likes: { type: "array", items: { type: "string", maxLength: 20 }, maxItems: 3 },
  },
  "A sentiment": { sentiment: { enum: ["positive", "neutral", "negative"] } },
};

/** The field for the JSON Schema that answers are held to. Empty, they are plain text. */
export class SchemaField {
  readonly #field = element<HTMLTextAreaElement>("schema");

  constructor() {
    on(this.#field, "input", () => this.#tell());
    on(this.#field, "change", () => {
      try {
        this.format;
      } catch (error) {
        this.#tell((error as Error).message);
      }
    });
    for (const button of document.querySelectorAll<HTMLElement>("#schemas button"))
      on(button, "click", () => this.#try(EXAMPLES[button.textContent]!));
  }

  get isEmpty(): boolean {
    return this.#field.value.trim() === "";
  }

  /**
   * What the request says of the answer's form; undefined where it is plain text.
   *
   * @throws AnswerError if the field has no JSON
   */
  get format(): SchemaFormat | undefined {
    if (this.isEmpty) return undefined;
    try {
      const schema: unknown = JSON.parse(this.#field.value);
      return { type: "json_schema", json_schema: { name: "answer", strict: true, schema } };
    } catch (error) {
      throw new AnswerError(`This is no JSON: ${(error as Error).message}`, null, "response_format");
    }
  }

  /** Says what is wrong with the schema, and goes there. */
  refuse(why: string): void {
    this.#field.closest("details")!.open = true;
    this.#tell(why);
    this.#field.focus();
  }

  #try(properties: object): void {
    const required = Object.keys(properties);
    const schema = { type: "object", properties, required, additionalProperties: false };
    this.#field.value = JSON.stringify(schema, null, 1);
    this.#field.dispatchEvent(new Event("input", { bubbles: true }));
    // Shown from its beginning.
    this.#field.setSelectionRange(0, 0);
    this.#field.focus();
  }

  #tell(why = ""): void {
    showError(why, "schema-error");
    this.#field.setAttribute("aria-invalid", String(!!why));
  }
}
