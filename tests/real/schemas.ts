// Schemas as people write them, with two requests for each: what programs ask small models for.

export interface SchemaCase {
  name: string;
  schema: Record<string, unknown>;
  prompts: [string, string];
}

const text = (maxLength: number, more: object = {}) => ({ type: "string", minLength: 1, maxLength, ...more });
const object = (properties: Record<string, unknown>, more: object = {}) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});

export const SCHEMAS: SchemaCase[] = [
  {
    name: "a label",
    schema: object({ label: { enum: ["positive", "negative", "neutral"] } }),
    prompts: ["Label this review: I loved the food.", "Label this review: The room was cold and dirty."],
  },
  {
    name: "a person",
    schema: object({ name: text(30), age: { type: "integer", minimum: 0, maximum: 120 } }),
    prompts: ["Extract: Anna Berg is 34 years old.", "Invent a person."],
  },
  {
    name: "a contact",
    schema: object({ name: text(30), email: { type: "string", format: "email", maxLength: 40 } }),
    prompts: ["Write to Tom at tom@example.org.", "Make up a contact for a shop."],
  },
  {
    name: "an event",
    schema: object({
      title: text(40),
      date: { type: "string", format: "date" },
      starts: { type: "string", format: "time" },
    }),
    prompts: ["The concert is on 4 May 2026 at eight in the evening.", "Plan a birthday."],
  },
  {
    name: "a decision",
    schema: object({ route: { enum: ["sales", "support", "billing", "other"] }, sure: { type: "boolean" } }),
    prompts: ["I was charged twice.", "How do I reset my password?"],
  },
  {
    name: "a list of words",
    schema: { type: "array", items: text(12, { pattern: "^[a-z]+$" }), minItems: 3, maxItems: 5 },
    prompts: ["Name some colours.", "Name some animals."],
  },
  {
    name: "a product",
    schema: object({
      sku: { type: "string", pattern: "^[A-Z]{3}-[0-9]{4}$" },
      price: { type: "number", minimum: 0, maximum: 10000 },
      currency: { enum: ["EUR", "USD", "NOK"] },
    }),
    prompts: ["A lamp for 49.90 euros, number LMP-1234.", "Describe a chair that is for sale."],
  },
  {
    name: "an order of several items",
    schema: object({
      items: {
        type: "array",
        minItems: 1,
        maxItems: 3,
        items: object({ name: text(20), count: { type: "integer", minimum: 1, maximum: 99 } }),
      },
    }),
    prompts: ["Two apples and three pears, please.", "I want a pizza and a cola."],
  },
  {
    name: "an address",
    schema: object({
      street: text(40),
      city: text(20),
      zip: { type: "string", pattern: "^\\d{4,5}$" },
      country: { type: "string", minLength: 2, maxLength: 2, pattern: "^[A-Z]*$" },
    }),
    prompts: ["I live in Main Street 5, 12345 Berlin, Germany.", "Invent an address in Norway."],
  },
  {
    name: "a nullable field",
    schema: object({ title: text(40), subtitle: { type: ["string", "null"], maxLength: 40 } }),
    prompts: ["Title a story about a dog.", "Title a report on sales."],
  },
  {
    name: "an optional field",
    schema: { ...object({ answer: text(60) }), properties: { answer: text(60), source: text(30) } },
    prompts: ["What is the capital of France?", "Who wrote Hamlet?"],
  },
  {
    name: "one of two forms",
    schema: {
      oneOf: [
        object({ kind: { const: "circle" }, radius: { type: "number", exclusiveMinimum: 0, maximum: 100 } }),
        object({
          kind: { const: "square" },
          side: { type: "number", exclusiveMinimum: 0, maximum: 100 },
        }),
      ],
    },
    prompts: ["A circle with radius 3.", "Draw something with four sides."],
  },
  {
    name: "a tree",
    schema: {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: {
            name: text(12),
            children: { type: "array", items: { $ref: "#/$defs/node" }, maxItems: 2 },
          },
          required: ["name"],
          additionalProperties: false,
        },
      },
    },
    prompts: ["A folder with two files.", "A family with a child."],
  },
  {
    name: "coordinates",
    schema: object({
      lat: { type: "number", minimum: -90, maximum: 90 },
      lon: { type: "number", minimum: -180, maximum: 180 },
    }),
    prompts: ["Where is Paris?", "Where is Tokyo?"],
  },
  {
    name: "a rating",
    schema: object({ stars: { type: "integer", minimum: 1, maximum: 5 }, reason: text(60) }),
    prompts: ["It broke after a day.", "Best purchase ever!"],
  },
  {
    name: "a step of five",
    schema: object({ percent: { type: "integer", multipleOf: 5, minimum: 0, maximum: 100 } }),
    prompts: ["How sure are you that it rains in Bergen?", "How full is the glass?"],
  },
  {
    name: "unique tags",
    schema: object({
      tags: {
        type: "array",
        uniqueItems: true,
        minItems: 2,
        maxItems: 3,
        items: { enum: ["news", "sport", "music", "food"] },
      },
    }),
    prompts: ["Tag: The band played at the final.", "Tag: A recipe for pancakes."],
  },
  {
    name: "a map of numbers",
    schema: {
      type: "object",
      additionalProperties: { type: "integer", minimum: 0, maximum: 999 },
      propertyNames: { pattern: "^[a-z]{1,8}$" },
      minProperties: 1,
      maxProperties: 3,
    },
    prompts: ["Count the fruit: 3 apples, 2 pears.", "Count the animals on a farm."],
  },
  {
    name: "keys by a pattern",
    schema: {
      type: "object",
      patternProperties: { "^q[1-3]$": { enum: ["yes", "no"] } },
      additionalProperties: false,
      minProperties: 1,
    },
    prompts: ["Answer three questions with yes or no.", "Is water wet? Is fire cold?"],
  },
  {
    name: "a pair",
    schema: {
      type: "array",
      prefixItems: [text(20), { type: "integer", minimum: 0, maximum: 3000 }],
      items: false,
      minItems: 2,
    },
    prompts: ["Who landed on the moon, and when?", "Name a war and its year."],
  },
  {
    name: "one field needs another",
    schema: {
      type: "object",
      properties: {
        card: { type: "string", pattern: "^\\d{8}$" },
        holder: text(20),
        cash: { type: "boolean" },
      },
      dependentRequired: { card: ["holder"] },
      required: ["cash"],
      additionalProperties: false,
    },
    prompts: ["Pay by card 12345678, Ann Lee.", "I pay in cash."],
  },
  {
    name: "if and then",
    schema: {
      ...object({ country: { enum: ["US", "NO"] }, zip: { type: "string", maxLength: 10 } }),
      if: { properties: { country: { const: "US" } } },
      // biome-ignore lint/suspicious/noThenProperty: the keyword's name
      then: { properties: { zip: { pattern: "^\\d{5}$" } } },
      else: { properties: { zip: { pattern: "^\\d{4}$" } } },
    },
    prompts: ["Ship it to Boston 02134.", "Ship it to Bergen 5003."],
  },
  {
    name: "not a word",
    schema: object({ colour: { type: "string", pattern: "^[a-z]{3,10}$", not: { enum: ["red", "blue"] } } }),
    prompts: ["What colour is the sky?", "What colour is blood?"],
  },
  {
    name: "all of two",
    schema: {
      allOf: [
        { type: "object", properties: { id: { type: "integer", minimum: 1 } }, required: ["id"] },
        {
          type: "object",
          properties: { id: { type: "integer", maximum: 9999 }, name: text(20) },
          required: ["name"],
          additionalProperties: false,
        },
      ],
    },
    prompts: ["User 17 is called Max.", "Make up a user."],
  },
  {
    name: "a number or a word",
    schema: object({
      value: { anyOf: [{ type: "integer", minimum: 0, maximum: 9999 }, { enum: ["unknown"] }] },
    }),
    prompts: ["In which year did the war end?", "How many stars are there?"],
  },
  {
    name: "identifiers",
    schema: object({
      id: { type: "string", format: "uuid" },
      host: { type: "string", format: "ipv4" },
    }),
    prompts: ["Register the server at 10.0.0.7.", "Make up a server."],
  },
  {
    name: "a moment",
    schema: object({
      at: { type: "string", format: "date-time" },
      lasts: { type: "string", format: "duration" },
    }),
    prompts: ["The meeting is tomorrow at ten and takes an hour.", "When does the film start?"],
  },
  {
    name: "a deep record",
    schema: object({
      order: object({
        customer: object({ name: text(20), vip: { type: "boolean" } }),
        total: object({
          amount: { type: "integer", minimum: 0, maximum: 100000 },
          currency: { const: "EUR" },
        }),
      }),
    }),
    prompts: ["Anna, our best customer, bought for 120 euros.", "Make up an order."],
  },
  {
    name: "contains",
    schema: {
      type: "array",
      items: { type: "integer", minimum: 0, maximum: 20 },
      contains: { const: 7 },
      minItems: 2,
      maxItems: 5,
    },
    prompts: ["Some numbers, one of them seven.", "Lucky numbers."],
  },
  {
    name: "long fixed keys",
    schema: object({
      estimated_delivery_window_start: { type: "string", format: "date" },
      estimated_delivery_window_end: { type: "string", format: "date" },
      customer_notification_preference: { enum: ["by_email", "by_phone"] },
      requires_signature_on_delivery: { type: "boolean" },
    }),
    prompts: ["Deliver between 3 and 5 June 2026, call first.", "Plan a delivery."],
  },
];
