import { describe, expect, test } from "vitest";
import { Jinja } from "../../src/text/jinja/index.ts";

// The values are jinja2 3.1.6's, as transformers 5.18 sets it up.

const VALUES = {
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: " Hi!\n" },
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "a1", name: "f", arguments: { city: "<Köln>", n: [1, 2.5, true, null] } }],
    },
  ],
  tools: [{ name: "b", items: { x: 1 } }, { name: "A" }, { name: "a" }],
  none_at_all: null,
  text: "it's Göd\n",
  smile: "🙂a🙂",
  long: "one  two\tthree ",
};

const render = (template: string) => new Jinja(template).render(VALUES);

describe("values are written as Python writes them", () => {
  test.each<[string, string]>([
    [
      "{{ none }} {{ true }} {{ 2.0 }} {{ 1e16 }} {{ 1e-5 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ [1, 'a', none] }} {{ (1,) }}",
      "None True 2.0 1e+16 1e-05 3.5 2.0 [1, 'a', None] (1,)",
    ],
    ["{{ messages[2].tool_calls[0].arguments }}", "{'city': '<Köln>', 'n': [1, 2.5, True, None]}"],
    [
      "{{ text ~ none ~ 1.0 }}{{ [text, \"a'b\\\"c\", '\\x01\\u200b'] }}",
      "it's Göd\nNone1.0[\"it's Göd\\n\", 'a\\'b\"c', '\\x01\\u200b']",
    ],
    [
      "{{ messages[0].items() }} {{ range(2) }} {{ range(1, 9, 3) | list }}",
      "dict_items([('role', 'system'), ('content', 'Be brief.')]) range(0, 2) [1, 4, 7]",
    ],
  ])("%s", (template, expected) => {
    expect(render(template)).toBe(expected);
  });
});

describe("equality, order and arithmetic are Python's", () => {
  test.each<[string, string]>([
    [
      "{{ 1 == '1' }} {{ none == '' }} {{ 0 == false }} {{ 1 == 1.0 }} {{ [1, [2]] == [1, [2]] }} {{ {'a': 1} == {'a': 1.0} }}",
      "False False True True True True",
    ],
    [
      "{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ [1, 2] < [1, 3] }} {{ 'Z' < 'a' }} {{ '\\uffff' < smile }}",
      "True False True True True",
    ],
    [
      "{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 2 * 3 ~ 4 }} {{ 'ab' * 2 }} {{ [0] * 2 }}",
      "-4 2 -2 64 4 64 abab [0, 0]",
    ],
    [
      "{{ 'x' not in ['x'] }} {{ not 1 in [1] }} {{ 1 in nothing }} {{ 'role' in messages[0] }} {{ 'rief' in messages[0].content }}",
      "False False False True True",
    ],
  ])("%s", (template, expected) => {
    expect(render(template)).toBe(expected);
  });
});

describe("texts have Python's methods", () => {
  test.each<[string, string]>([
    [
      "[{{ '\\x1c\\x85 a\\ufeff'.strip() }}] {{ 'xxaxx'.strip('x') }} {{ '</s>a</s>'.rstrip('</s>') }} {{ 'xay' | trim('xy') }}",
      "[a\ufeff] a </s>a a",
    ],
    [
      "{{ long.split() }} {{ long.split(' ', 1) }} {{ long.rsplit(' ', 1) }} {{ long.split(maxsplit=1) }} {{ 'a-b'.partition('-') }}",
      "['one', 'two', 'three'] ['one', ' two\\tthree '] ['one  two\\tthree', ''] ['one', 'two\\tthree '] ('a', '-', 'b')",
    ],
    [
      "{{ text.title() }}{{ text | title }}{{ 'ÀB cD'.capitalize() }} {{ 'ab'.startswith(('x', 'a')) }} {{ smile.find('a') }} {{ 'aXbX'.replace('X', '', 1) }}",
      "It'S Göd\nIt's Göd\nÀb cd True 1 abX",
    ],
    [
      "{{ smile | length }} {{ smile[0] }} {{ smile[::-1] }} {{ smile[1:] }} {{ 'abc'[-2:] }} {{ text.splitlines() }} {{ ', '.join(['a', 'b']) }}",
      '3 🙂 🙂a🙂 a🙂 bc ["it\'s Göd"] a, b',
    ],
    [
      "{{ '%s: %d %r' % ('a', 2.5, 'b') }} {{ '%s' | format(none) }} {{ '{} {1!r} {x}'.format(1, 'b', x=2) if false else '{} {x!r}'.format(1, x='b') }}",
      "a: 2 'b' None 1 'b'",
    ],
    [
      "{{ 'a'.removeprefix('a') | length }} {{ 'aba'.count('a') }} {{ 'AB1'.isupper() }} {{ '12'.isdigit() }} {{ 'a' 'b' }}",
      "0 2 True True ab",
    ],
  ])("%s", (template, expected) => {
    expect(render(template)).toBe(expected);
  });
});

describe("filters and tests are jinja2's", () => {
  test.each<[string, string]>([
    [
      "{{ none_at_all | selectattr('role') | list }} {{ messages | selectattr('role', 'in', ['user']) | map(attribute='content') | first | trim }}",
      "[] Hi!",
    ],
    [
      "{{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='role') | join('+') }} {{ [1, 2, 3] | select('odd') | list }} {{ ['1', '2'] | map('int') | sum }}",
      "system+assistant [1, 3] 3",
    ],
    [
      "{{ tools | sort(attribute='name') | map(attribute='name') | list }} {{ tools | map(attribute='name') | unique | list }} {{ {'b': 1, 'A': 2} | dictsort }}",
      "['A', 'a', 'b'] ['b', 'A'] [('A', 2), ('b', 1)]",
    ],
    [
      "{% if messages | selectattr('role', 'equalto', 'nobody') %}an iterator is true{% endif %}{% set some = [1, 2] | map('string') %}{{ some | join }}{{ some | join }}!",
      "an iterator is true12!",
    ],
    [
      "{{ 'a\\n\\nb' | indent(2) }} {{ 'a' | indent('> ', first=true) }} {{ [3, 1] | sort(reverse=true) }} {{ 4.5 | round }} {{ '4.7' | int }} {{ 'x' | int(5) }}",
      "a\n\n  b > a [3, 1] 4.0 4 5",
    ],
    [
      "{{ messages[2].tool_calls[0].arguments | tojson }} {{ {'b': [], 'a': {}} | tojson(indent=2, sort_keys=true) }} {{ [1, 'é'] | tojson(ensure_ascii=true, separators=(',', ':')) }}",
      '{"city": "<Köln>", "n": [1, 2.5, true, null]} {\n  "a": {},\n  "b": []\n} [1,"\\u00e9"]',
    ],
    [
      "{{ tools[0].items is callable }} {{ tools[0]['items'] }} {{ tools[0].get('zz', 1) }} {{ tools[0].zz is defined }}",
      "True {'x': 1} 1 False",
    ],
    [
      "{{ 4 is divisibleby(2) }} {{ 4 is divisibleby 3 }} {{ 3 is in [3] }} {{ 3 is eq 3 and 3 is not ne 3 }} {{ true is number }} {{ {} is sequence }} {{ nothing is iterable }} {{ not 'a' is string }} {{ -1 | abs }}",
      "True False True True True True True False 1",
    ],
  ])("%s", (template, expected) => {
    expect(render(template)).toBe(expected);
  });
});

describe("loops, scopes and blocks are jinja2's", () => {
  test.each<[string, string]>([
    [
      "{% for m in messages %}{{ m.role }}{% if loop.first %}, {% continue %}{% endif %}.{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}",
      "system, user.",
    ],
    [
      "{% for m in messages %}{% if loop.first %}{% set seen = m.role %}{% endif %}[{{ seen }}]{% endfor %}{{ seen is defined }}",
      "[system][][]False",
    ],
    [
      "{% for x in [] %}{% else %}empty {% endfor %}{% for x in nothing %}{% else %}undefined{% endfor %} {% for c in smile %}{{ loop.cycle('<', '>') }}{{ c }}{% endfor %}",
      "empty undefined <🙂>a<🙂",
    ],
    [
      "{% for x in [3, 1, 2] if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ loop.nextitem }} {% endfor %}",
      "1/2:32 2/2:2 ",
    ],
    [
      "{% for n in [{'c': [{'c': []}]}] recursive %}<{{ loop.depth }}{{ loop(n.c) }}>{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a + b + c }}{% endfor %}",
      "<1<2>>6",
    ],
    [
      "{% macro m(a, b='x', c=b) %}[{{ a }}{{ b }}{{ c }}{{ varargs }}]{% endmacro %}{{ m(1) }}{{ m(1, c=2) }}{{ m(1, 2, 3, 4) }}{{ m(*['p'], **{'b': 'q'}) }}",
      "[1xx()][1x2()][123(4,)][pqq()]",
    ],
    [
      "{% macro m() %}{{ x }}{% endmacro %}{% set x = 'far' %}{% for x in ['near'] %}{{ m() }}{% endfor %} {% macro w() %}<{{ caller(1) }}>{% endmacro %}{% call(n) w() %}{{ n + 1 }}{% endcall %}",
      "far <2>",
    ],
    [
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + loop.index %}{% endfor %}{{ ns.n }} {% set a, b = 1, 2 %}{{ a + b }} {% set s | upper %}x{{ a }}{% endset %}{{ s }} {% with a = 5 %}{{ a }}{% endwith %}{{ a }}",
      "6 3 X1 51",
    ],
    [
      "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }} {{ 'yes' if a }}{{ 'no' if not a }} {{ {'a': {'b': 1}}.a.b }} {{ {'a':{}}}}",
      "21 yes 1 {'a': {}}",
    ],
  ])("%s", (template, expected) => {
    expect(render(template)).toBe(expected);
  });
});

describe("white space goes where jinja2 takes it", () => {
  test.each<[string, string]>([
    ["{% if true %}\nA\n{% endif %}\nB\n", "A\nB"],
    ["  {% if true %}\n  A\n  {% endif %}  \nB\n\n", "  A\n  \nB\n"],
    [" x {% if true %} y{% endif %}", " x  y"],
    ["{%- if true -%}\n\n  A  \n\n{%- endif -%}\n B", "AB"],
    ["{% if true +%}\nA\n  {%+ endif %}B", "\nA\n  B"],
    ["a\r\nb\r{% if true %}\r\n c{% endif %}", "a\nb\n c"],
    ["{# c #}\nA {#- c -#}  \nB", "AB"],
    ["a\x85{%- if true %}b{% endif %}\ufeff{%- if true %}c{% endif %}", "ab\ufeffc"],
    ["  {% raw %}\n{{ a }} {% if %}\n{% endraw %}\nb", "\n{{ a }} {% if %}\nb"],
    ["{% generation %}\nA\n{% endgeneration %}\nB{%- generation -%} x {%- endgeneration %}", "A\nBx"],
    ["{{ '\n' }}\n{{ 'a' -}}  \n\n b", "\n\nab"],
  ])("%s", (template, expected) => {
    expect(render(template)).toBe(expected);
  });
});

test.each([
  "{{ 'a' + 1 }}",
  "{{ nothing.x }}",
  "{{ nothing + 1 }}",
  "{{ 1 < 'a' }}",
  "{{ [1].append(2) }}",
  "{% for x in 5 %}{% endfor %}",
  "{{ nothing | tojson }}",
  "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
  "{{ none | length }}",
  "{{ ''.join([1]) }}",
  "{% set a.b = 1 %}",
  "{% break %}",
  "{% include 'x' %}",
  "{% import 'x' as y %}",
  "{{ 1 // 0 }}",
  "{{ 'a' is b }}",
  "{{ 'a' is string is defined }}",
  "{{ 1 + 2 ~ 3 }}",
  "{% endif %}",
  "{{ (1 }}",
  "{{ '\\x4' }}",
  "{% if true %}{% else %}{% else %}{% endif %}",
])("what jinja2 refuses is refused: %s", (template) => {
  expect(() => render(template)).toThrow(Error);
});
