// Formats that strings can be held to, as regular expressions over whole strings. Where a standard has a form that hardly
// anybody reads (quoted names in e-mail addresses, leap seconds at an offset), the expression leaves it out: what it
// has is valid everywhere.

const DAYS =
  "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))" +
  "|(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
const OFFSET = "(?:[Zz]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
const TIME = `(?:(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d+)?${OFFSET}|23:59:60(?:\\.\\d+)?(?:[Zz]|[+-]00:00))`;

const CLOCK = "(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)";
const CALENDAR = "(?:\\d+D|\\d+M(?:\\d+D)?|\\d+Y(?:\\d+M(?:\\d+D)?)?)";
const DURATION = `P(?:${CALENDAR}(?:T${CLOCK})?|T${CLOCK}|\\d+W)`;

/** Without those that have -- in the third and fourth place: whether they are well encoded takes tables. */
const LABEL = "[A-Za-z0-9](?:B{0,2}[A-Za-z0-9]|B(?:[A-Za-z0-9]B|-[A-Za-z0-9])B{0,58}[A-Za-z0-9])?".replace(
  /B/g,
  "[A-Za-z0-9-]",
);
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `${OCTET}(?:\\.${OCTET}){3}`;

/** RFC 4291: eight groups, or fewer with one :: in them; the last two may be an IPv4 address. */
function ipv6(): string {
  const group = "[0-9A-Fa-f]{1,4}";
  const tail = `(?:${group}:${group}|${IPV4})`;
  const forms = [`(?:${group}:){6}${tail}`];
  for (let before = 0; before <= 7; before++) {
    const head = before === 0 ? "" : `(?:${group}:){0,${before - 1}}${group}`;
    const start = before === 0 ? "::" : `(?:${head})::`;
    // What may follow the :: stands for at least one group.
    const after = 7 - before;
    if (after === 0) forms.push(start);
    else if (after === 1) forms.push(`${start}(?:${group})?`);
    else forms.push(`${start}(?:(?:${group}:){0,${after - 2}}${tail}|(?:${group})?)`);
  }
  return `(?:${forms.join("|")})`;
}

const IPV6 = ipv6();
const ESCAPED = "%[0-9A-Fa-f]{2}";
/** iprivate of RFC 3987, which queries may have. */
const PRIVATE = "\\ue000-\\uf8ff\\u{f0000}-\\u{ffffd}\\u{100000}-\\u{10fffd}";
/** ucschar of RFC 3987. */
const WIDE =
  "\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffef" +
  Array.from(
    { length: 14 },
    (_, i) => `\\u{${(i + 1).toString(16)}0000}-\\u{${(i + 1).toString(16)}fffd}`,
  ).join("");

/** RFC 3986, and with further letters RFC 3987. */
function uri(more: string, isReference: boolean, inQuery = ""): string {
  const plain = `A-Za-z0-9._~!$&'()*+,;=${more}-`;
  const segment = `(?:[:@${plain}]|${ESCAPED})`;
  const host = `(?:\\[(?:${IPV6}|[Vv][0-9A-Fa-f]+\\.[:A-Za-z0-9._~!$&'()*+,;=-]+)\\]|(?:[${plain}]|${ESCAPED})*)`;
  const authority = `(?:(?:[:${plain}]|${ESCAPED})*@)?${host}(?::\\d*)?`;
  const path = `(?:/${segment}*)*`;
  const absolute = `/(?:${segment}+${path})?`;
  const query = `(?:\\?(?:[/?:@${inQuery}${plain}]|${ESCAPED})*)?(?:#(?:[/?:@${plain}]|${ESCAPED})*)?`;
  const full = `[A-Za-z][A-Za-z0-9+.-]*:(?://${authority}${path}|${absolute}|${segment}+${path})${query}`;
  if (!isReference) return full;
  const first = `(?:[@${plain}]|${ESCAPED})+`;
  return `(?:${full}|(?://${authority}${path}|${absolute}|${first}${path})?${query})`;
}

const POINTER = "(?:/(?:[^~/]|~[01])*)*";

/** What a format's strings are, by its name. Made when it is asked for. */
export const FORMATS: ReadonlyMap<string, () => string> = new Map([
  ["date", () => DAYS],
  ["time", () => TIME],
  ["date-time", () => `${DAYS}[Tt]${TIME}`],
  ["duration", () => DURATION],
  ["email", () => `${ATOM}(?:\\.${ATOM})*@(?:${LABEL}\\.)+${LABEL}`],
  ["hostname", () => `(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*`],
  ["ipv4", () => IPV4],
  ["ipv6", () => IPV6],
  ["uuid", () => "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"],
  ["uri", () => uri("", false)],
  ["uri-reference", () => uri("", true)],
  ["iri", () => uri(WIDE, false, PRIVATE)],
  ["iri-reference", () => uri(WIDE, true, PRIVATE)],
  ["json-pointer", () => POINTER],
  ["relative-json-pointer", () => `(?:0|[1-9]\\d*)(?:#|${POINTER})`],
]);

/** Formats of the specification that no regular expression here describes. */
export const UNSUPPORTED_FORMATS: ReadonlySet<string> = new Set([
  "idn-email",
  "idn-hostname",
  "regex",
  "uri-template",
]);
