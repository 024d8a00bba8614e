import type { SavedTurn } from "./chat-turn.ts";

/** A conversation as the browser keeps it for its tab: a reload does not lose it, closing the tab does. */
export interface SavedChat {
  /** Of the model that answered: another one does not go on with it. */
  fingerprint: string;
  turns: SavedTurn[];
  /** Turns at the beginning that no longer fit the context. */
  forgotten: number;
}

const KEY = "edgeformer-chat";

export function saveChat(chat: SavedChat): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(chat));
  } catch {
    // No room, or storage is switched off: the conversation goes on, but a reload begins a new one.
  }
}

export function savedChat(fingerprint: string): SavedChat | undefined {
  try {
    const chat = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as SavedChat | null;
    return chat?.fingerprint === fingerprint ? chat : undefined;
  } catch {
    return undefined;
  }
}
