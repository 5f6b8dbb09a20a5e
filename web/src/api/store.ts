// What is installed and what could be: /v1/models beside the plan for this machine, and Ollama's routes that change the store.
import { ApiError, call, open } from "./http";

export interface Installed {
  id: string;
  loaded: boolean;
  stays: boolean; // open for as long as the server runs
  bytes: number; // in memory when loaded, else of the file
}

export interface Mix {
  quantization: string;
  model_bytes: number;
  needs_bytes: number;
  has_bytes: number;
  fits: boolean;
}

export interface Plan extends Mix {
  architecture: string;
  context: number;
  sessions: number;
  at_once: number;
  bytes: Record<"weights" | "kv" | "activations" | "file" | "tables" | "program", number>;
  context_fits: Record<string, number>;
  stored: boolean;
  license: string;
  use: Use;
  speed?: { prompt: number; tokens_per_second: number; ttft_ms: number }; // where the machine was measured
}

export type Use = "use allowed" | "needs reading" | "not commercial" | "allowed";

export interface Known {
  name: string;
  licence: string;
  use: Use;
  languages: string;
  parameters: number;
}

export interface Machine {
  memory_budget: number;
  machine: { cpu: string; isa: string; threads: number; memory_bytes: number; available_bytes: number; read_bytes_per_second: number; probed: string };
  catalogue: Known[];
}

export const listInstalled = async (signal: AbortSignal): Promise<Installed[]> => (await call<{ data: Installed[] }>("/v1/models", { signal })).data;
export const getMachine = (signal: AbortSignal): Promise<Machine> => call("/v1/plan", { signal });
export const getPlan = (model: string, signal: AbortSignal): Promise<Plan> => call(`/v1/plan?model=${encodeURIComponent(model)}`, { signal });
export const getMixes = async (name: string, signal: AbortSignal): Promise<Mix[]> =>
  (await call<{ mixes: Mix[] }>(`/v1/plan?catalogue=${encodeURIComponent(name)}`, { signal })).mixes;

// Opens a model, or closes it (seconds 0) when nobody uses it.
export const load = (model: string): Promise<void> => call("/api/generate", { body: { model, stream: false } });
export const unload = (model: string): Promise<void> => call("/api/generate", { body: { model, keep_alive: 0, stream: false } });
export const remove = (model: string): Promise<void> => call("/api/delete", { method: "DELETE", body: { model } });

export interface PullLine {
  status?: string;
  total?: number;
  completed?: number;
  error?: string;
}

// A pull, line by line; it ends when the signal says so, and goes on from there when it is asked for again.
export async function* pull(model: string, acceptLicense: boolean, signal: AbortSignal): AsyncGenerator<PullLine> {
  const response = await open("/api/pull", { body: { model, accept_license: acceptLicense }, signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let last: PullLine = {};
  try {
    for (;;) {
      const piece = await reader.read();
      if (piece.done) break;
      const lines = (rest + piece.value).split("\n");
      rest = lines.pop()!;
      for (const line of lines.filter(Boolean)) {
        last = JSON.parse(line) as PullLine;
        if (last.error) throw new ApiError(500, last.error);
        yield last;
      }
    }
  } catch (why) {
    if (signal.aborted || why instanceof ApiError) throw why;
    throw new ApiError(0, why instanceof Error ? why.message : String(why));
  } finally {
    reader.cancel().catch(() => undefined);
  }
  if (last.status !== "success") throw new ApiError(0, "");
}
