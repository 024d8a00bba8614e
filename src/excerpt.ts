const MAX_LENGTH = 100;

/** A value from a file as JSON for a message: one line that is not long, whatever it is, and however deep. */
export function excerpt(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    // JSON.stringify goes as deep as the stack allows; JSON.parse goes deeper.
    text = Array.isArray(value) ? "[…]" : "{…}";
  }
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH)}…`;
}

/** What JSON.parse says on one line: it quotes the text, line feeds and all. */
export function syntaxMessage({ message }: SyntaxError): string {
  return message.replace(/\s+/g, " ");
}

/** A key or a tensor's name for an error of one line: quoted and cut if it is not an ordinary one. */
export function quotedName(name: string): string {
  return /^[\w./-]{1,100}$/.test(name) ? name : JSON.stringify(name.slice(0, MAX_LENGTH));
}
