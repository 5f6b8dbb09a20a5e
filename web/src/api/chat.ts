// POST /v1/chat/completions, streamed: OpenAI's shapes, as docs/SERVER.md has them.
import { ApiError } from "./http";
import { stream } from "./sse";

export interface WireCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export type WirePart = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };

export type WireMessage =
  | { role: "system"; content: string }
  | { role: "user"; content: string | WirePart[] }
  | { role: "assistant"; content: string; tool_calls?: WireCall[] }
  | { role: "tool"; tool_call_id: string; content: string };

export interface ChatRequest {
  model: string;
  messages: WireMessage[];
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repeat_penalty?: number;
  max_tokens?: number;
  seed?: number;
  tools?: unknown[];
  response_format?: unknown;
  truncation?: "auto";
}

// What one event of the stream brings; fields that it does not bring are absent.
export interface ChatDelta {
  text?: string;
  reasoning?: string;
  calls?: { index: number; id?: string; name?: string; arguments?: string }[];
  finish?: string;
  tokens?: number; // generated; at the end
  perSecond?: number; // of generation, as the server measured it; at the end, like the next three
  cached?: number; // tokens of the prompt that were known
  guessed?: number; // tokens run ahead
  accepted?: number; // of these, chosen then
}

interface Chunk {
  error?: { message?: string };
  usage?: { completion_tokens: number } | null;
  timings?: { predicted_per_second?: number; cache_n?: number; draft_n?: number; draft_n_accepted?: number };
  choices?: {
    finish_reason: string | null;
    delta: {
      content?: string | null;
      reasoning_content?: string;
      tool_calls?: { index: number; id?: string; function?: { name?: string; arguments?: string } }[];
    };
  }[];
}

function deltaOf(chunk: Chunk): ChatDelta {
  const d: ChatDelta = {};
  const choice = chunk.choices?.[0];
  if (choice?.delta.content) d.text = choice.delta.content;
  if (choice?.delta.reasoning_content) d.reasoning = choice.delta.reasoning_content;
  if (choice?.delta.tool_calls)
    d.calls = choice.delta.tool_calls.map((c) => ({
      index: c.index,
      ...(c.id !== undefined && { id: c.id }),
      ...(c.function?.name !== undefined && { name: c.function.name }),
      ...(c.function?.arguments !== undefined && { arguments: c.function.arguments }),
    }));
  if (choice?.finish_reason) d.finish = choice.finish_reason;
  if (chunk.usage) d.tokens = chunk.usage.completion_tokens;
  const t = chunk.timings;
  if (t?.predicted_per_second) d.perSecond = t.predicted_per_second;
  if (t?.cache_n !== undefined) d.cached = t.cache_n;
  if (t?.draft_n !== undefined) d.guessed = t.draft_n;
  if (t?.draft_n_accepted !== undefined) d.accepted = t.draft_n_accepted;
  return d;
}

// Throws ApiError; a stream that ends before its [DONE] is one of status 0.
export async function* streamChat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<ChatDelta> {
  const body = { ...request, stream: true, stream_options: { include_usage: true } };
  for await (const { data } of stream("/v1/chat/completions", { body, signal })) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) throw new ApiError(500, chunk.error.message ?? data);
    yield deltaOf(chunk);
  }
  throw new ApiError(0, "");
}
