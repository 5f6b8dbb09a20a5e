// Short replies to choose from (docs/CANDIDATES.md): profiles, conversations run ahead, rounds as they come.
import { call } from "./http";
import { stream } from "./sse";

export interface Reply {
  text: string;
  axis: string;
  source: "model" | "cache" | "scene" | "default" | "upstream" | "page"; // page: this page's own, for when the server is away
}

export interface Scene {
  cues: string[];
  replies: { axis: string; text: string }[];
}

// What is not edited here (axes, name) stays as it is.
export interface Profile {
  about?: string;
  language?: "en" | "ja";
  scenes?: Scene[];
  axes?: { id: string }[];
  [other: string]: unknown;
}

const address = (id: string) => `/v1/profiles/${encodeURIComponent(id)}`;
export const listProfiles = async (): Promise<string[]> => (await call<{ data: { id: string }[] }>("/v1/profiles")).data.map((p) => p.id);
export const getProfile = async (id: string): Promise<Profile> => (await call<{ profile: Profile }>(address(id))).profile;
export const putProfile = (id: string, profile: Profile): Promise<void> => call(address(id), { method: "PUT", body: profile });
export const deleteProfile = (id: string): Promise<void> => call(address(id), { method: "DELETE" });

export interface TalkStart {
  profile: string | Profile;
  model: string;
  cascade?: string[];
}

const heardAs = (text: string) => [{ role: "user", content: text }];

export const startTalk = async (start: TalkStart, heard: string): Promise<string> =>
  (await call<{ id: string }>("/v1/sessions", { body: { ...start, messages: heardAs(heard) } })).id;
export const tellTalk = (session: string, heard: string): Promise<void> => call(`/v1/sessions/${session}/append`, { body: { messages: heardAs(heard) } });

export interface RoundEvent {
  name: "candidate.partial" | "candidate.final" | "stage.replaced";
  id: string;
  index: number;
  reply: Reply;
}

export interface Round {
  session: string;
  n: number;
  budget_ms: number;
  avoid: string[];
  cascade?: string[];
}

// The events of a round; then, as one `candidate.final` each, the replies as they stand at its end.
export async function* askRound(round: Round, signal: AbortSignal): AsyncGenerator<RoundEvent> {
  for await (const { event, data } of stream("/v1/candidates", { body: { ...round, stream: true }, signal })) {
    const d = JSON.parse(data) as Reply & { id: string; index: number; candidates: Reply[] };
    if (event === "done") {
      for (const [index, reply] of d.candidates.entries()) yield { name: "candidate.final", id: d.id, index, reply };
      return;
    }
    yield { name: event as RoundEvent["name"], id: d.id, index: d.index, reply: d };
  }
}

export const hold = (id: string, index: number): Promise<void> => call("/v1/candidates/hold", { body: { id, index } });
export const chose = (session: string, reply: Reply, id: string): Promise<void> =>
  call("/v1/candidates/choose", { body: { session, text: reply.text, axis: reply.axis, ...(id && { id }) } });
export const reject = (session: string, text: string): Promise<void> => call("/v1/candidates/reject", { body: { session, text } });
