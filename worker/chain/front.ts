import { HttpError } from "../errors.ts";

/** What the front needs of a binding to the coordinator's class. */
interface CoordinatorNamespace {
  idFromName(name: string): unknown;
  get(id: unknown): { fetch(request: Request): Promise<Response> };
}

interface FrontEnv {
  CHAIN: CoordinatorNamespace;
  /** Which coordinator answers. Each has stages of its own. ["main"] */
  CHAIN_NAME?: string;
}

/** The Worker that has the endpoint's address. It hands every request to the coordinator, and keeps nothing. */
export function createFront() {
  return {
    async fetch(request: Request, env: FrontEnv): Promise<Response> {
      try {
        return await env.CHAIN.get(env.CHAIN.idFromName(env.CHAIN_NAME ?? "main")).fetch(request);
      } catch (cause) {
        console.error(JSON.stringify({ event: "coordinator_away", error: String(cause) }));
        const error = new HttpError(503, "The model is starting again; try again shortly.", {
          code: "model_unavailable",
        });
        return Response.json(error.body(), { status: error.status, headers: { "retry-after": "2" } });
      }
    },
  };
}
