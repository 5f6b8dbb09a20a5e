// A chat is a tree of messages: editing and asking again add a branch and lose nothing. What is shown is the path that
// `chosen` takes through it. Values are never changed in place.
export interface ToolCall {
  id: string;
  name: string;
  arguments: string; // JSON text, as the model wrote it
}

export interface Attachment {
  name: string;
  kind: "text" | "image";
  data: string; // the text, or a data: URL
}

export interface Message {
  id: string;
  parent: string | null;
  role: "user" | "assistant" | "tool";
  text: string;
  at: number; // ms since 1970
  attached?: Attachment[];
  reasoning?: string;
  calls?: ToolCall[];
  callId?: string; // of a tool's message: the call it answers
  model?: string;
  finish?: string; // as the server says it; "aborted" when the person stopped it
  error?: string; // what ended it early; "" for a connection that broke
  figures?: { tokens: number; perSecond: number; first: number }; // perSecond: 0 when unknown; first: s to the first token
}

export interface ChatOptions {
  system: string;
  temperature: number | null; // null: the server's own
  top_p: number | null;
  top_k: number | null;
  min_p: number | null;
  repeat_penalty: number | null;
  max_tokens: number | null;
  seed: number | null;
  schema: string; // JSON text; "": free
  tools: string; // JSON text of an array; "": none
}

export interface Chat {
  id: string;
  title: string;
  created: number;
  changed: number;
  options: ChatOptions;
  messages: Record<string, Message>; // in the order they came
  chosen: Record<string, string>; // by parent ("" for none): the child that is shown
}

export const noOptions: ChatOptions = {
  system: "", temperature: null, top_p: null, top_k: null, min_p: null, repeat_penalty: null, max_tokens: null,
  seed: null, schema: "", tools: "",
};

// Unlike crypto.randomUUID also there when the page came over plain HTTP from another machine.
export function newId(prefix: "c" | "m"): string {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  return prefix + Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

export function newChat(options: ChatOptions = noOptions): Chat {
  const now = Date.now();
  return { id: newId("c"), title: "", created: now, changed: now, options, messages: {}, chosen: {} };
}

export type Children = Map<string, string[]>; // ids by parent ("" for none)

export function childrenOf(chat: Chat): Children {
  const map: Children = new Map();
  for (const id in chat.messages) {
    const parent = chat.messages[id]!.parent ?? "";
    const list = map.get(parent);
    if (list) list.push(id);
    else map.set(parent, [id]);
  }
  return map;
}

// The messages shown, from the first on.
export function pathOf(chat: Chat, children: Children = childrenOf(chat)): Message[] {
  const path: Message[] = [];
  for (let at = ""; ; ) {
    const list = children.get(at);
    if (!list) return path;
    const chosen = chat.chosen[at];
    at = chosen !== undefined && list.includes(chosen) ? chosen : list[list.length - 1]!;
    path.push(chat.messages[at]!);
  }
}

// The message and all before it, from the first on.
export function lineOf(chat: Chat, id: string): Message[] {
  const line: Message[] = [];
  for (let at: string | null = id; at !== null; at = chat.messages[at]!.parent) line.push(chat.messages[at]!);
  return line.reverse();
}

// Adds the message, or replaces it; it becomes the one shown.
export function withMessage(chat: Chat, m: Message): Chat {
  return {
    ...chat,
    changed: Date.now(),
    title: chat.title || (m.role === "user" ? titleOf(m.text) : ""),
    messages: { ...chat.messages, [m.id]: m },
    chosen: { ...chat.chosen, [m.parent ?? ""]: m.id },
  };
}

export function withChosen(chat: Chat, id: string): Chat {
  return { ...chat, chosen: { ...chat.chosen, [chat.messages[id]!.parent ?? ""]: id } };
}

export function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0]!;
  const letters = [...line];
  return letters.length > 60 ? `${letters.slice(0, 59).join("")}…` : line;
}

// Calls of the last message of a path that nobody has answered.
export function openCalls(path: Message[]): ToolCall[] {
  let at = path.length - 1;
  const answered = new Set<string>();
  for (; at >= 0 && path[at]!.role === "tool"; at--) answered.add(path[at]!.callId ?? "");
  return (path[at]?.calls ?? []).filter((c) => !answered.has(c.id));
}
