// Chats as a file: export, and import that trusts nothing in it.
import { newId, noOptions, type Attachment, type Chat, type ChatOptions, type Message, type ToolCall } from "./tree";

const FORMAT = "irori-chats-1";

export function exportChats(chats: Chat[]): string {
  return JSON.stringify({ format: FORMAT, chats }, null, 1);
}

type Json = Record<string, unknown>;
const isObject = (v: unknown): v is Json => typeof v === "object" && v !== null && !Array.isArray(v);
const text = (v: unknown): string => (typeof v === "string" ? v : "");
const number = (v: unknown, otherwise: number): number => (typeof v === "number" && Number.isFinite(v) ? v : otherwise);

function readOptions(v: unknown): ChatOptions {
  const from = isObject(v) ? v : {};
  const out: Json = { ...noOptions };
  for (const key of Object.keys(noOptions) as (keyof ChatOptions)[]) {
    const value = from[key];
    if (typeof noOptions[key] === "string" ? typeof value === "string" : typeof value === "number" && Number.isFinite(value))
      out[key] = value;
  }
  return out as unknown as ChatOptions;
}

function readCalls(v: unknown): ToolCall[] {
  return (Array.isArray(v) ? v : []).filter(isObject).map((c) => ({ id: text(c["id"]), name: text(c["name"]), arguments: text(c["arguments"]) }));
}

function readAttached(v: unknown): Attachment[] {
  return (Array.isArray(v) ? v : []).filter(isObject).map((a) => {
    const data = text(a["data"]);
    return { name: text(a["name"]), kind: data.startsWith("data:image/") && a["kind"] === "image" ? "image" : "text", data };
  });
}

function readMessage(id: string, v: unknown, known: Record<string, Message>): Message {
  if (!isObject(v)) throw new Error(`message "${id}" is not an object`);
  const role = v["role"];
  if (role !== "user" && role !== "assistant" && role !== "tool") throw new Error(`message "${id}": role is "${String(role)}"`);
  const parent = v["parent"] ?? null;
  // A parent stands before its children, so that there are no circles.
  if (parent !== null && (typeof parent !== "string" || !Object.hasOwn(known, parent))) throw new Error(`message "${id}": its parent is missing`);
  const m: Message = { id, parent, role, text: text(v["text"]), at: number(v["at"], Date.now()) };
  if (v["reasoning"]) m.reasoning = text(v["reasoning"]);
  if (v["callId"]) m.callId = text(v["callId"]);
  if (v["model"]) m.model = text(v["model"]);
  if (v["finish"]) m.finish = text(v["finish"]);
  if (typeof v["error"] === "string") m.error = v["error"];
  if (v["calls"]) m.calls = readCalls(v["calls"]);
  if (v["attached"]) m.attached = readAttached(v["attached"]);
  if (isObject(v["figures"])) {
    const f = v["figures"];
    m.figures = { tokens: number(f["tokens"], 0), perSecond: number(f["perSecond"], 0), first: number(f["first"], 0) };
  }
  return m;
}

export function readChat(v: unknown): Chat {
  if (!isObject(v)) throw new Error("a chat is not an object");
  const messages: Record<string, Message> = {};
  for (const [id, m] of Object.entries(isObject(v["messages"]) ? v["messages"] : {})) {
    if (!/^m[0-9a-z]{1,40}$/.test(id)) throw new Error(`"${id.slice(0, 40)}" is not a message's id`);
    messages[id] = readMessage(id, m, messages);
  }
  const chosen: Record<string, string> = {};
  for (const [at, id] of Object.entries(isObject(v["chosen"]) ? v["chosen"] : {}))
    if (typeof id === "string" && Object.hasOwn(messages, id) && (messages[id]!.parent ?? "") === at) chosen[at] = id;
  const id = text(v["id"]);
  const now = Date.now();
  return {
    id: /^c[0-9a-z]{1,40}$/.test(id) ? id : newId("c"),
    title: text(v["title"]).slice(0, 200),
    created: number(v["created"], now),
    changed: number(v["changed"], now),
    options: readOptions(v["options"]),
    messages,
    chosen,
  };
}

// Throws an Error that says what is wrong; then nothing is imported.
export function importChats(source: string): Chat[] {
  const file = JSON.parse(source) as unknown;
  if (!isObject(file) || file["format"] !== FORMAT || !Array.isArray(file["chats"])) throw new Error(`no file of the format ${FORMAT}`);
  return file["chats"].map(readChat);
}

export function saveFile(name: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
