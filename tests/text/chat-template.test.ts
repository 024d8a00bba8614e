import { describe, expect, test } from "vitest";
import { ChatTemplate } from "../../src/text/chat-template.ts";
import { TEMPLATE } from "../worker/chat-model.ts";

interface Message {
  role: string;
  content: string;
}

const HI: Message[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: " Hi!\n" },
];
const NAMES = new Map(Object.entries({ bos_token: "<s>", eos_token: "</s>" }));

const render = (template: string, messages: readonly Message[] = HI) =>
  new ChatTemplate(template).render({ messages }, NAMES);

describe("a template", () => {
  test("makes one text of a conversation, up to where the answer begins", () => {
    expect(render(TEMPLATE)).toBe("<s><|system|>\nBe brief.</s>\n<|user|>\nHi!</s>\n<|assistant|>\n");
  });

  test.each([
    ["{{ tools is none }} {{ documents is not none }} {{ strftime_now is defined }}", "True False False"],
    ["{% for i in range(3) %}{{ i }}{% endfor %} {{ range(5, 1, -2) | list }}", "012 [5, 3]"],
    ["{% if True and not False and None is none %}{{ messages[-1].content | trim }}{% endif %}", "Hi!"],
    [
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
      "2",
    ],
    ["{% macro tag(m) %}[{{ m.role }}]{% endmacro %}{{ tag(messages[0]) }}", "[system]"],
    [
      "{% generation %}{{ messages[0] | tojson }}{% endgeneration %}",
      '{"role": "system", "content": "Be brief."}',
    ],
  ])("knows what templates use: %s", (template, expected) => {
    expect(render(template)).toBe(expected);
  });

  test("refuses messages in its own words", () => {
    const refused = () => render(TEMPLATE, [{ role: "assistant", content: "Hi!" }]);
    expect(refused).toThrow(
      expect.objectContaining({
        code: "invalid_prompt",
        param: "messages",
        message: expect.stringContaining("begins with the user"),
      }),
    );
    const long = () =>
      render("{{ raise_exception(messages[0].content) }}", [{ role: "user", content: "b".repeat(9000) }]);
    expect(long).toThrow(/refuses these messages: b{500}$/);
  });

  test("has what a long conversation needs", () => {
    const messages = Array.from({ length: 1000 }, (_, i) => ({
      role: i % 2 ? "assistant" : "user",
      content: `message ${i}, `.repeat(8),
    }));
    const turns = `{% for m in messages if m.content is string %}
      {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Take turns.') }}{% endif %}
      {%- if loop.index0 > 0 and messages[loop.index0 - 1].role == m.role %}{{ raise_exception('Twice') }}{% endif %}
      {{- '<|' ~ m['role'] ~ '|>' ~ m['content'].strip() ~ eos_token }}
    {%- endfor %}`;
    expect(render(turns, messages).split("</s>")).toHaveLength(1001);
    expect(render(TEMPLATE, messages).split("</s>")).toHaveLength(1001);
  });
});

/** A text of 100,000 letters, and a list that holds another one twice, and so on sixty times. */
const LONG = "{% set n = namespace(s=range(100000) | join | replace('0', 'a')) %}";
const TWICE = "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}";

test.each([
  ["{{ ('1' * 1000000 ~ 'x') | float }}", "0.0"],
  ["{{ ('1' * 1000000 ~ 'x') | int }}", "0"],
])("a number of a million digits that is none is read at once: %s", (template, expected) => {
  expect(render(template)).toBe(expected);
});

describe("a template that is at fault is the model's fault", () => {
  const fault = (reason: RegExp) =>
    expect.objectContaining({ code: "invalid_model", message: expect.stringMatching(reason) });

  test.each([
    ["not closed", "{% for m in messages %}", /the chat template failed/],
    ["no template at all", "{{ }}", /failed/],
    ["not what Jinja knows", "{% include 'other' %}", /failed/],
    ["a filter that is not there", "{{ messages | sorcery }}", /sorcery/],
    ["a function that is not there", "{{ summon() }}", /function/],
    ["what is undefined, added up", "{{ messages[7].content + nothing }}", /undefined/],
    ["too long", `{# ${"a".repeat(40_000)} #}`, /40006 characters/],
    ["deep", "(".repeat(20_000).replace(/^/, "{{ "), /failed/],
  ])("%s", (_, template, reason) => {
    expect(() => render(template)).toThrow(fault(reason));
  });

  test.each([
    ["loops in loops", `${"{% for i in range(1000) %}".repeat(4)}${"{% endfor %}".repeat(4)}`],
    ["one long range", "{% for i in range(1000000000000) %}{% endfor %}"],
    ["an infinite range", "{% for i in range(1, 2, 1e-300) %}{% endfor %}"],
    ["a macro that calls itself", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"],
    ["a macro that calls itself twice", "{% macro a() %}{{ a() ~ a() }}{% endmacro %}{{ a() }}"],
    [
      "a text that doubles",
      "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
    ],
    [
      "a list that doubles",
      "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
    ],
    [
      "lists walked without a body",
      "{% set a = range(900) %}{% for i in a %}{% for j in a %}{% for k in a %}{% endfor %}{% endfor %}{% endfor %}",
    ],
    ...["sort", "unique", "dictsort(by='value')"].map((filter): [string, string] => [
      `long texts compared again and again by ${filter}`,
      `${LONG}{% set a = n.s ~ 'a' %}{% set b = n.s ~ 'b' %}{% set l = ${filter.startsWith("dict") ? "{'a': a, 'b': b}" : "[a, b]"} %}{% for i in range(9000) %}{% set x = l | ${filter} %}{% endfor %}`,
    ]),
    // Whatever stands behind: the parts of a program are looked at from its end.
    [
      "a slice without a beginning behind many turns",
      `{% for i in range(100000) %}{% endfor %}{{ messages[::1] }}`,
    ],
    [
      "a slice without a beginning behind a long text",
      `${LONG}{{ n.s.replace('a', n.s) }}{{ messages[:1] }}`,
    ],
    ["nothing, a thousand million times", "{{ [] * 1000000000 }}"],
    ["a part that is nearly everywhere", "{{ ('a' * 1000000).find('a' * 250000 ~ 'b' ~ 'a' * 250000) }}"],
    ["the same from the end", "{{ ('a' * 1000000).rfind('a' * 500000 ~ 'b') }}"],
    ["the same asked for", "{{ ('a' * 250000 ~ 'b' ~ 'a' * 250000) in 'a' * 1000000 }}"],
    ["the same cut at", "{{ ('a' * 1000000).split('a' * 250000 ~ 'b' ~ 'a' * 250000) }}"],
    ["the same replaced", "{{ ('a' * 1000000) | replace('a' * 250000 ~ 'b' ~ 'a' * 250000, '') }}"],
    [
      "a text's method that is kept and called again and again",
      "{% set f = ('a' * 1000000).isalpha %}{% for i in range(9000) %}{{ f() }}{% endfor %}",
    ],
    [
      "a long text compared with a short one within lists",
      "{% set l = [[['\u{1f600}'], ['a' * 500000 ~ '\u{1f600}']]] %}{% for i in range(9000) %}{% set x = l[0] | sort %}{% endfor %}",
    ],
    ["names in a format that do not end", "{{ ('%(' * 1000000) % {'a': ''} }}"],
    ["a wide indentation", "{{ messages | tojson(indent=100000000) }}"],
    ["not a number", "{{ messages | tojson(indent=1e308) }}"],
    ["one long text for each letter of another", `${LONG}{{ n.s.replace('a', n.s) }}`],
    ["the same by a filter", `${LONG}{{ n.s | replace('a', n.s) }}`],
    ["the same of a block", `${LONG}{% filter replace('a', n.s) %}{{ n.s }}{% endfilter %}`],
    ["the same by a call with a body", `${LONG}{% call n.s.replace('a', n.s) %}{% endcall %}`],
    ["the same under a computed name", `${LONG}{{ n.s['rep' ~ 'lace']('a', n.s) }}`],
    ["a long text between many", `${LONG}{{ range(100000) | join(n.s) }}`],
    ["long separators", `${LONG}{{ range(100000) | list | tojson(separators=[n.s, n.s]) }}`],
    ["deep indentation of many lines", "{{ (range(100000) | join('\n')) | indent(100000) }}"],
    ["a list that holds a list twice", `${TWICE}{{ n.s | tojson }}`],
    ["the same written out", `${TWICE}{{ n.s }}`],
    ["the same put together with a text", `${TWICE}{{ 'x' ~ n.s }}`],
    ["the same compared with another one", `${TWICE}{% set m = n.s %}${TWICE}{{ n.s == m }}`],
    ["the same joined", `${TWICE}{{ n.s | join }}`],
    ["the same as a text", `${TWICE}{{ n.s | string | length }}`],
    ["the same as a number", `${TWICE}{{ range(n.s) }}`],
    [
      "objects that hold an object twice",
      "{% macro f(x, d) %}{% if d %}{{ f(namespace(a=x, b=x), d - 1) }}{% else %}{{ x | tojson }}{% endif %}{% endmacro %}{{ f(1, 60) }}",
    ],
    ["an object that holds itself", "{% set n = namespace() %}{% set n.a = n %}{{ n | tojson }}"],
  ])("%s comes to an end", (_, template) => {
    expect(() => render(template)).toThrow(fault(/failed/));
  });

  test("what it does not do to messages either", () => {
    const messages = [{ role: "user", content: "a".repeat(200_000) }];
    expect(() => render("{{ messages[0].content.replace('a', messages[0].content) }}", messages)).toThrow(
      fault(/does not come to an end/),
    );
    const short = [{ role: "user", content: "ab".repeat(20) }];
    expect(render("{{ messages[0].content.replace('b', messages[0].content) | length }}", short)).toBe("820");
  });
});

describe("a template has nothing but what it is given", () => {
  test.each([
    "{{ constructor }}{{ globalThis }}{{ process }}{{ self }}{{ this }}{{ __proto__ }}",
    "{{ messages.constructor }}{{ messages.__proto__ }}{{ messages[0].constructor }}{{ messages[0].__proto__ }}",
    "{{ ''.constructor }}{{ ''.__class__ }}{{ (1).constructor }}{{ true.constructor }}{{ none.constructor }}",
    "{{ range.constructor }}{{ raise_exception.constructor }}{{ raise_exception.prototype }}",
    "{{ messages['constructor'] }}{{ messages[0]['__proto__'] }}{{ namespace(a=1).constructor }}",
  ])("%s is empty", (template) => {
    expect(render(template)).toBe("");
  });

  test.each([
    "{{ ''.constructor.constructor('return 1')() }}",
    "{{ range.constructor('return globalThis')() }}",
    "{{ messages.push(1) }}",
    "{% set messages.constructor = 1 %}",
  ])("%s fails", (template) => {
    expect(() => render(template)).toThrow(expect.objectContaining({ code: "invalid_model" }));
  });

  test("and changes nothing of it", () => {
    const messages = [{ role: "user", content: "Hi" }];
    render("{% set messages = [] %}{% set bos_token = 'x' %}{{ messages | length }}", messages);
    expect(messages).toEqual([{ role: "user", content: "Hi" }]);
    expect(Object.hasOwn(Object.prototype, "a")).toBe(false);
  });
});
