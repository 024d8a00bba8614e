// Which characters are letters, numbers and white space to a tokenizer.
//
// The host's own `\p{L}`, `\p{N}` and `\s` will not do. Unicode grows by a few thousand letters every other year, and
// Node, Deno and workerd carry different editions, so one text would be cut differently on each. JavaScript's `\s` has
// U+FEFF and lacks U+0085, which the regular expressions of Rust and Python see the other way round. The tables are
// those of Unicode 16, as the expressions of Hugging Face's tokenizers 0.23 see them (tests/text/characters.test.ts).

export const OTHER = 0;
export const LETTER = 1;
export const NUMBER = 2;
export const WHITE = 3;

/** Code points with the property White_Space. */
const WHITE_SPACE: [first: number, last: number][] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0x85, 0x85],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
];

/*
 * Ranges as pairs of lengths, each a little-endian base-128 number, in base64: how many code points lie between the
 * range before and this one, and how many are in this one.
 */

/** The letters (general category L). */
const LETTERS =
  "QRoGGi8BCgEEAQUXAR8BygMEDA4FBwEBAYEBBQECAgQBAQYBAQMBAQEUAVMBiwEIpgEBJgIBBilHGwQELSsjAgFjAQEPAgcCCgMC" +
  "ARABAR4dWQsBGCEJAgQBBRYEAQkBAwEXGQcLBRgBBhEqOjYDARIBBwoPEAQIAgICFgEHAQEDBAMBEAENAgEDDgIKAQgGBAICFgEH" +
  "AQIBAgECHwQBARMDEAkBAwEWAQcBAgEFAwESAQ8CFwELCAICAhYBBwECAQUDAR4CAQMPAREBAQYDAwEEAwIBAQECAwIDAwMMFgE0" +
  "CAEDARcBEAMBGgMCAQICHgEECAEDARcBCgEFAwEfAgECDwIRCQEDASkCARABBQMIAxgGBRIDGAEJAQECBzowAQIMBzoCAQEBBQEY" +
  "AQEBCgECCQECBQEBFQQgAT8IASQbBXMrFAEQBgQEAwEDAgcDBA0MAREmAQEFAQIrAc0CAQQCBwEBAQQCKQEEAiEBBAIHAQEBBAIP" +
  "ATkBBAJDJRAQVgIGA+wEAhEBGgVLBggHEg0TDhIODQEDDzQjAQQBQ1kHBQIiAQEFRgofMR4CBQssBBo2Fwk1UgFdLxEINh4NAgos" +
  "GiQpAwokAgsFKwIDKQQBBgECAwEFwAFAlgICBgImAgYCCAEBAQEBAQEfAjUBBwEBAwMBBwMEAgYEDQUDAQd0AQ0BEA1lAQQBAgoB" +
  "AQMFBgEBAQEBAQQBCwIEBQUEATQC+xTlAQYEAwIMJgEBBQECOAcBEBcJBwEHAQcBBwEHAQcBBwEHUAHVAwIqBQUCBFYGAwFaAQQF" +
  "KwFeESAwEIAEwDNAja0BQy4CjQIDEAoCFC8QHwJGMQkCZwJDAgIBAQEIFRABAwEEARcdNA4yPgYDAQECCxwKFxkdBy8cARAFAQoK" +
  "BQEpFwMBCBQXAwEDMgEBAwICBQIBAQEYAwILBwMMBgIGAgYJBwEHASsBDgZzHaRXDBcEMYRC7gICaiYHDAUFAQEKAQ0BBQEBAQIB" +
  "AgFsIesCEkACNigMdAUBhwEkGgYaC1kDBgIGAgYCAyMMARoBEwECAQ8CDiJ7hQMdAzEvIA0UAQgGJgoeAiQECDCeARIkBCQEKAg0" +
  "DAsBDwEHAQIBCwEPAQcBAgM0DLcCCRYKCBgGASoBCUUGAgEBLAECAwECFwoXCR9BEwECChYKGkY4BgJAAQ8EAQMBHSodAx0jCAEc" +
  "GzYKFgoTDRJuSTczDTMNJCYcCRf6ASoGAhADOx0KAQgWKhIuFRsXDDU5AgIBDS0gGRokHQECAQgjAwEMMA4EFQEBASMSARkTAj8H" +
  "AQEBBAEPAQoHLyYIAgICFgEHAQIBBQMBEgEMBR4KAQECAQEmAQEZAQEBLDUSBBQDHjAUAgEBuAEvKQQkMBQBOysNAUcbJQe5ASx0" +
  "QB8IAgECCAECARgPAQEBXggCJxABAQEcAQooBwEVAQsuEwESSccBIR8JASURATEecAcBAgEmFQEZBgECASAOAccCEw8BAQ0BInwB" +
  "T5oH5gHEAcwUYQ+wCBEGGZsfBccEuTUe4g25BAcfEU8RHhIwEAQfFQUTsAMt0wFAgAFLBQFCDUACAQEc+C8I1gkpCudFBAEHAQIB" +
  "owIPAR0DAgEOBAiMA4QSawUNAwkHCuYuVQFHAQICAQICAgQBDAEBAQcBQQEEAggBBwEcAQQBBQEBAwcB1AICGQEZAR8BGQEfARkB" +
  "HwEZAR8BGQEItA4fBgaFAj6SAS0KBxABwQIeEizkAxzkAR4CAe8DBwEEAQIBDwHFATtEBwG0CQQBGwECAQECAQEKAQQBAQEBBgEE" +
  "AQEBAQEBAwECAQECAQEBAQEBAQEBAQIBAQIEAQcBBAEEAQEBCgERBQMBBQERxCLgzQIguiAG3gECgi0OsToP7gSiE54E4gvLJgXg" +
  "IA==";

/** The numbers (general category N). */
const NUMBERS =
  "MAp4AgUBAgOhCwqGAQrGAQqcAwp2CgQGbAp2CnYKAgZuDXMKCAdnCmgHBxNtCmAKdgpGFIwCCkYKzwUU8QYD7wEKBgoWCqwCCoAB" +
  "C6UBCgYKtgEKVgqGAQoGCpYIAQMGBgrGATMCBdYFPE4W9gQe6QoBiQYBGQkOA9cCBIoBCh4IAQ8gCicP4OYBCrwBCsACBpoBCiYK" +
  "xgEKFgpWCpYDCpamAQrtAy0MOREC1QIbJAQdAQgBhgEFygEKrgcIGQcnCUsFFgagAQICEAIuQAk0Ah4DSwVoCBgIKQfKAgYwCgYK" +
  "lgIfngEKKgRwB4YBHoABCjwKkAEKBxT7AQrWAgp2CvYCCmYKBhRMDKQDE10KlgUKVh3jAQpGCqYDCmYVqwhvwXkKphIKVgqGAQoB" +
  "B44ECoYCF9m8AQrGCxQMFGwZ1QgywBIKpgMK9gMK9wEKzAUJgAEKlwY7AQMBBEwtAQ/CBw3jFQo=";

/** Above the last letter, U+323AF. */
const END = 0x32400;

/** Two bits for each code point below END, four to a byte: 51 kB. */
let classes: Uint8Array | undefined;

function build(): Uint8Array {
  const table = new Uint8Array(END / 4);
  const mark = (first: number, end: number, value: number) => {
    for (let point = first; point < end; point++) table[point >> 2]! |= value << ((point & 3) * 2);
  };
  for (const [packed, value] of [
    [LETTERS, LETTER],
    [NUMBERS, NUMBER],
  ] as const) {
    const bytes = atob(packed);
    let at = 0;
    const number = () => {
      let result = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = bytes.charCodeAt(at++);
        result |= (byte & 127) << shift;
        if (byte < 128) return result;
      }
    };
    for (let point = 0; at < bytes.length; ) {
      const first = point + number();
      point = first + number();
      mark(first, point, value);
    }
  }
  for (const [first, last] of WHITE_SPACE) mark(first, last + 1, WHITE);
  return table;
}

/** Class of a code point: OTHER, LETTER, NUMBER or WHITE. */
export function classOf(point: number): number {
  classes ??= build();
  return point < END ? (classes[point >> 2]! >> ((point & 3) * 2)) & 3 : OTHER;
}

/** Whether the UTF-16 unit is white space; all of white space is in the Basic Multilingual Plane. */
export function isWhite(unit: number): boolean {
  return classOf(unit) === WHITE;
}

/** First index from `from` on that does not hold white space. */
export function skipWhite(text: string, from: number): number {
  let at = from;
  while (at < text.length && isWhite(text.charCodeAt(at))) at++;
  return at;
}

/** Index behind the last character from `start` to before `end` that is not white space; `start` if there is none. */
export function skipWhiteBack(text: string, end: number, start: number): number {
  let at = end;
  while (at > start && isWhite(text.charCodeAt(at - 1))) at--;
  return at;
}
