/** What the page tells about the model, and what it has to know of the server. Plain data, `GET /page/facts.json`. */
export interface Facts {
  name: string;
  architecture: string;
  layers: number;
  width: number;
  heads: number;
  /** Tokens that a prompt and its completion may have together. */
  context: number;
  vocabulary: number;
  parameters: number;
  weightBytes: number;
  /** Linear memory, constant while serving. */
  memoryBytes: number;
  engineBytes: number;
  source: string;
  fingerprint: string;
  /** exp of the mean loss in float32 and converted, where the conversion measured it. */
  fidelity: { corpus: string; tokens: number; float32: number; converted: number } | null;
  /** What the endpoint takes where a request is silent, under its names; empty for a model without settings of its own. */
  generation: Record<string, number>;
  /** A model without a tokenizer takes and gives token ids. */
  hasTokenizer: boolean;
  /** Of a model that chats, whether its template asks for the date; null for one that only continues texts. */
  chat: { usesDate: boolean } | null;
  /** Most tokens of one completion. */
  maxTokens: number;
  /** Whether a key has to be sent. */
  needsKey: boolean;
  /** Whether the engine and the weights may be fetched, to run in the browser. */
  publicModel: boolean;
  /** Set where this model is served only because another one could not be had. */
  standIn: StandIn | null;
}

/** Which model is missing, and what to do about it. */
export interface StandIn {
  /** Its name: "SmolLM2-135M-Instruct". */
  missing: string;
  /** A sentence for whoever runs the server. */
  how: string;
}
