// Chat templates that somebody has meddled with, some of which multiply what they make.
import fc from "fast-check";
import { expect, test } from "vitest";
import { EdgeformerError } from "../../src/errors.ts";
import { ChatTemplate } from "../../src/text/chat-template.ts";
import { TEMPLATE } from "../worker/chat-model.ts";
import { CHATML } from "../worker/chatml-checkpoint.ts";

const COUNT = Number(process.env.TEMPLATE_MUTATIONS ?? 4000);
const SECONDS = 2;
const BYTES = 300e6;

/** Loops, doublings and calls, to be put anywhere. */
const FRAGMENTS = [
  "{% for a in range(100000) %}",
  "{% for a in messages %}{% for b in messages %}",
  "{% endfor %}",
  "{% if messages %}",
  "{% else %}",
  "{% endif %}",
  "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
  "{% set x = messages | tojson %}{% set x = [x, x, x] | join(x) %}{{ x | tojson | replace('a', x) }}",
  "{{ 'a' * 1000000000 }}",
  "{{ [messages] * 1000000 }}",
  "{{ range(0, 1000000000) | list }}",
  "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(3) }}",
  "{{ messages.__proto__.constructor }}",
  "{{ ''.constructor.constructor('return process')() }}",
  "{{ strftime_now('%Y' * 1000) }}",
  "{{ raise_exception(messages | tojson(indent=1000)) }}",
  "{{ messages[0].content.split('') | reverse | join | upper }}",
  "{% set l = [messages | tojson ~ 'a', messages | tojson ~ 'b'] %}{% for i in range(9000) %}{% set x = l | sort %}{% endfor %}",
  "{% set x = messages | sort(attribute='content') | map(attribute='content') | unique | list %}",
  "{{ dict(messages[0]) | dictsort }}{{ messages[0] | items | list }}",
  "{{ '%1000000000d' % 1 }}{{ '{:>1000000000}'.format(1) }}",
  "{{ messages[0].content.replace('', messages[1].content) }}",
  "{{ messages[0:1000000000:-1] }}{{ messages[::0] }}",
  "{{ messages | tojson(indent=-1) }}",
  "{% filter indent(100000) %}",
  "{% endfilter %}",
  "{% generation %}",
  "{% endgeneration %}",
  "{{ (",
  "{%",
  "{#",
  "| map(attribute='content') | list",
  "\u0000\ud800",
];

const mutated: fc.Arbitrary<string> = fc
  .record({
    template: fc.constantFrom(TEMPLATE, CHATML),
    changes: fc.array(
      fc.record({
        at: fc.double({ min: 0, max: 1, noNaN: true }),
        drop: fc.oneof(fc.constant(0), fc.nat(40)),
        put: fc.oneof(fc.constantFrom("", ...FRAGMENTS), fc.string({ maxLength: 12 })),
        times: fc.constantFrom(1, 1, 1, 30),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ template, changes }) =>
    changes.reduce<string>((text, { at, drop, put, times }) => {
      const place = Math.floor(at * text.length);
      return text.slice(0, place) + put.repeat(times) + text.slice(place + drop);
    }, template),
  );

const MESSAGES = Array.from({ length: 40 }, (_, i) => ({
  role: i % 2 ? "assistant" : "user",
  content: `Message ${i}. `.repeat(20),
}));

test(`${COUNT} mutated templates: a text or a typed error of one line, in ${SECONDS} s and 300 MB`, () => {
  const before = process.memoryUsage.rss();
  /** The most memory that this process ever had. */
  const peak = () => process.resourceUsage().maxRSS * 1024;
  let [rendered, refused, slowest, most, longest] = [0, 0, 0, 0, 0];
  fc.assert(
    fc.property(mutated, (template) => {
      const started = process.cpuUsage();
      try {
        const text = new ChatTemplate(template).render({ messages: MESSAGES, date: new Date(0) });
        longest = Math.max(longest, text.length);
        rendered++;
      } catch (error) {
        if (!(error instanceof EdgeformerError)) throw error;
        expect(["invalid_model", "invalid_prompt"]).toContain(error.code);
        expect(error.message.length).toBeLessThan(700);
        refused++;
      }
      // Of the processor: on a busy machine the clock says nothing.
      const { user, system } = process.cpuUsage(started);
      slowest = Math.max(slowest, (user + system) / 1e6);
      most = Math.max(most, peak() - before);
    }),
    { numRuns: COUNT, seed: 21 },
  );
  console.log(
    `${rendered} rendered, ${refused} refused; at most ${slowest.toFixed(2)} s, ${Math.round(most / 1e6)} MB, ${longest} characters`,
  );
  expect(rendered).toBeGreaterThan(COUNT / 20);
  expect(refused).toBeGreaterThan(COUNT / 20);
  expect(slowest).toBeLessThan(SECONDS);
  expect(most).toBeLessThan(BYTES);
});
