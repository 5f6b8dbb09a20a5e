// From the messages shown to what the server is asked.
import type { ChatRequest, WireMessage } from "../api/chat";
import type { ChatOptions, Message } from "./tree";

// Text files stand in the text, behind their names, in a fence longer than any within them.
function withFiles(m: Message): string {
  const files = (m.attached ?? []).filter((a) => a.kind === "text");
  return [
    m.text,
    ...files.map((a) => {
      const longest = Math.max(2, ...(a.data.match(/`+/g) ?? []).map((run) => run.length));
      const fence = "`".repeat(longest + 1);
      return `${a.name}:\n${fence}\n${a.data}\n${fence}`;
    }),
  ].filter(Boolean).join("\n\n");
}

function wire(m: Message): WireMessage | null {
  if (m.role === "tool") return { role: "tool", tool_call_id: m.callId ?? "", content: m.text };
  if (m.role === "assistant") {
    if (!m.text && !m.calls?.length) return null; // it failed before it began
    const calls = (m.calls ?? []).map((c) => ({ id: c.id, type: "function" as const, function: { name: c.name, arguments: c.arguments } }));
    return { role: "assistant", content: m.text, ...(calls.length > 0 && { tool_calls: calls }) };
  }
  const images = (m.attached ?? []).filter((a) => a.kind === "image");
  const text = withFiles(m);
  if (images.length === 0) return { role: "user", content: text };
  return {
    role: "user",
    content: [{ type: "text", text }, ...images.map((a) => ({ type: "image_url" as const, image_url: { url: a.data } }))],
  };
}

const numbers = ["temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens", "seed"] as const;

export interface Wrong {
  field: "schema" | "tools";
  why: string;
}

function parse(field: Wrong["field"], source: string, fits: (v: unknown) => boolean, want: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (why) {
    throw { field, why: (why as Error).message } satisfies Wrong;
  }
  if (!fits(value)) throw { field, why: want } satisfies Wrong;
  return value;
}

// What is wrong with the options' JSON; null: nothing.
export function checkOptions(o: ChatOptions): Wrong | null {
  try {
    readJson(o);
    return null;
  } catch (why) {
    return why as Wrong;
  }
}

function readJson(o: ChatOptions): Pick<ChatRequest, "tools" | "response_format"> {
  const out: Pick<ChatRequest, "tools" | "response_format"> = {};
  if (o.schema.trim()) {
    const schema = parse("schema", o.schema, (v) => typeof v === "object" && v !== null && !Array.isArray(v), "{…}");
    out.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  }
  if (o.tools.trim()) out.tools = parse("tools", o.tools, Array.isArray, "[…]") as unknown[];
  return out;
}

// Throws Wrong.
export function requestOf(model: string, options: ChatOptions, path: Message[]): ChatRequest {
  const request: ChatRequest = { model, messages: [], truncation: "auto", ...readJson(options) };
  if (options.system.trim()) request.messages.push({ role: "system", content: options.system });
  for (const m of path) {
    const one = wire(m);
    if (one) request.messages.push(one);
  }
  for (const name of numbers) {
    const value = options[name];
    if (value !== null) request[name] = value;
  }
  return request;
}
