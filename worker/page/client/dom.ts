/** The element with an id of index.html. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found as T;
}

/** Shows what went wrong, or that nothing is wrong any more; `id` is of the element that says so. */
export function showError(message = "", id = "error"): void {
  element(id).hidden = message === "";
  element(id).textContent = message;
}

/** Calls a listener at each event of a type. */
export function on<Type extends keyof HTMLElementEventMap>(
  target: HTMLElement,
  type: Type,
  listener: (event: HTMLElementEventMap[Type]) => void,
): void {
  target.addEventListener(type, listener);
}

/** A new element with a class and text. */
export function make(tag: string, className = "", text = ""): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** 0.0421 → "4.2 %". */
export function percent(probability: number): string {
  const value = probability * 100;
  if (value > 0 && value < 0.01) return "< 0.01 %";
  return `${value >= 99.95 ? "100" : value.toFixed(value < 1 ? 2 : 1)} %`;
}

/** Bytes in decimal units: 11792256 → "11.8 MB". */
export function bytes(count: number): string {
  if (count < 1e6) return `${Math.round(count / 1e3)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}
