import * as z from "zod";
import {
  chatChunkShape,
  chatShape,
  completionShape,
  detokenizeShape,
  errorShape,
  healthShape,
  modelListShape,
  modelShape,
  tokenizeShape,
} from "./answer-schemas.ts";
import { chatRequest } from "./chat-schema.ts";
import { completionRequest } from "./completions-schema.ts";
import { detokenizeRequest, tokenizeRequest } from "./tokenize.ts";

type Json = Record<string, unknown>;

const inputs = {
  CompletionRequest: completionRequest,
  ChatRequest: chatRequest,
  TokenizeRequest: tokenizeRequest,
  DetokenizeRequest: detokenizeRequest,
};
const outputs = {
  Completion: completionShape,
  ChatCompletion: chatShape,
  ChatCompletionChunk: chatChunkShape,
  Model: modelShape,
  ModelList: modelListShape,
  TokenizeResponse: tokenizeShape,
  DetokenizeResponse: detokenizeShape,
  Health: healthShape,
  Error: errorShape,
};

function jsonSchemas(schemas: Record<string, z.ZodType>, io: "input" | "output"): Json {
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => {
      // A custom check has no JSON Schema of its own; its metadata carries one.
      const { $schema: _, ...body } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
      return [name, body];
    }),
  );
}

const json = (schema: string) => ({
  "application/json": { schema: { $ref: `#/components/schemas/${schema}` } },
});

const ERRORS: Record<string, string> = {
  "400": "A field is wrong, or the prompt does not fit the context.",
  "401": "No key, or not one of this server's.",
  "404": "No such model or route, or no chat template.",
  "413": "The body is larger than the server reads.",
  "429": "Over the rate limit; Retry-After says when to try again.",
  "503": "The model is not available or the server is full; Retry-After says when to try again.",
};

function operation(summary: string, response: string, errors: string[], request?: string): Json {
  return {
    summary,
    ...(request === undefined ? {} : { requestBody: { required: true, content: json(request) } }),
    responses: {
      "200": { description: "OK", content: json(response) },
      ...Object.fromEntries(
        errors.map((status) => [status, { description: ERRORS[status], content: json("Error") }]),
      ),
    },
  };
}

/** The operation, which can also answer with events. */
function streaming(described: Json, event: string): Json {
  const ok = (described.responses as Record<string, { content: Json }>)["200"];
  if (ok)
    ok.content["text/event-stream"] = {
      schema: {
        type: "string",
        description: `\`data: \` and a ${event} for each token, then \`data: [DONE]\`.`,
      },
    };
  return described;
}

/** The endpoint's description, made from the schemas that check its requests. */
export function openapi(): Json {
  const post = ["400", "401", "404", "413", "429", "503"];
  const get = ["401", "429", "503"];
  const completions = streaming(
    operation("Continue a text", "Completion", post, "CompletionRequest"),
    "Completion",
  );
  const chat = streaming(
    operation("Answer in a conversation", "ChatCompletion", post, "ChatRequest"),
    "ChatCompletionChunk",
  );
  return {
    openapi: "3.1.0",
    info: {
      title: "edgeformer",
      version: "1",
      description: "OpenAI's completions and chat endpoints in an edge isolate.",
    },
    components: {
      schemas: { ...jsonSchemas(inputs, "input"), ...jsonSchemas(outputs, "output") },
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
    },
    security: [{ key: [] }, {}],
    paths: {
      "/v1/completions": { post: completions },
      "/v1/chat/completions": { post: chat },
      "/v1/models": { get: operation("The model served, as a list", "ModelList", get) },
      "/v1/models/{id}": {
        get: {
          ...operation("The model served", "Model", ["401", "404", "429", "503"]),
          parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }],
        },
      },
      "/tokenize": { post: operation("Text to token ids", "TokenizeResponse", post, "TokenizeRequest") },
      "/detokenize": {
        post: operation("Token ids to text", "DetokenizeResponse", post, "DetokenizeRequest"),
      },
      "/health": { get: operation("Whether the Worker answers, and where the model stands", "Health", []) },
      "/ready": { get: operation("Loads the model if need be; 200 once it can serve", "Health", ["503"]) },
    },
  };
}
