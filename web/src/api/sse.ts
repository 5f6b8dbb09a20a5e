// Server-sent events of an answer, one by one as they come (https://html.spec.whatwg.org/#event-stream-interpretation).
import { ApiError, open, type CallOptions } from "./http";

export interface ServerEvent {
  event: string; // "" when unnamed
  data: string;
}

// Splits what has come into whole events; gives them and what is left over.
export function takeEvents(text: string): { events: ServerEvent[]; rest: string } {
  const events: ServerEvent[] = [];
  let from = 0;
  for (let end; (end = text.indexOf("\n\n", from)) >= 0; from = end + 2) {
    const event: ServerEvent = { event: "", data: "" };
    const data: string[] = [];
    for (const line of text.slice(from, end).split("\n")) {
      if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
      else if (line.startsWith("event:")) event.event = line.slice(6).trim();
    }
    event.data = data.join("\n");
    if (data.length || event.event) events.push(event);
  }
  return { events, rest: text.slice(from) };
}

// Ends with the stream; a connection that breaks is an ApiError of status 0.
export async function* stream(path: string, o: CallOptions): AsyncGenerator<ServerEvent> {
  const response = await open(path, o);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const piece = await reader.read();
      if (piece.done) return;
      const taken = takeEvents(rest + piece.value.replaceAll("\r\n", "\n"));
      rest = taken.rest;
      yield* taken.events;
    }
  } catch (why) {
    if (o.signal?.aborted || why instanceof ApiError) throw why;
    throw new ApiError(0, why instanceof Error ? why.message : String(why));
  } finally {
    reader.cancel().catch(() => undefined); // also when the reader of the generator stops early
  }
}
