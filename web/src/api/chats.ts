// Chats kept in the server's state: /v1/ui/chats.
import { ApiError, call } from "./http";

export interface KeptHead {
  id: string;
  title: string;
  at: number; // seconds since 1970
}

const address = (id: string) => `/v1/ui/chats/${encodeURIComponent(id)}`;

export const listChats = async (): Promise<KeptHead[]> => (await call<{ data: KeptHead[] }>("/v1/ui/chats")).data;

export async function getChat<T>(id: string): Promise<T | null> {
  try {
    return await call<T>(address(id));
  } catch (why) {
    if (why instanceof ApiError && why.status === 404) return null;
    throw why;
  }
}

export const putChat = (id: string, chat: unknown): Promise<void> => call<void>(address(id), { method: "PUT", body: chat });
export const deleteChat = (id: string): Promise<void> => call<void>(address(id), { method: "DELETE" });
