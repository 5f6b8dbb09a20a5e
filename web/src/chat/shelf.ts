// Where chats are kept: in this browser (IndexedDB) or in the server's state. Both are read as a file is: what comes
// back is checked (file.ts).
import { deleteChat, getChat, listChats, putChat } from "../api/chats";
import { readChat } from "./file";
import type { Chat } from "./tree";

export interface Head {
  id: string;
  title: string;
  changed: number; // ms since 1970
}

export interface Shelf {
  list(): Promise<Head[]>; // newest first
  load(id: string): Promise<Chat | null>;
  save(chat: Chat): Promise<void>;
  remove(id: string): Promise<void>;
}

const newestFirst = (heads: Head[]) => heads.sort((a, b) => b.changed - a.changed);

const promised = <T>(r: IDBRequest<T>): Promise<T> =>
  new Promise((done, fail) => {
    r.onsuccess = () => done(r.result);
    r.onerror = () => fail(r.error ?? new Error("IndexedDB"));
  });

let database: Promise<IDBDatabase> | null = null;

function openDatabase(): Promise<IDBDatabase> {
  database ??= (() => {
    const request = indexedDB.open("irori", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("heads", { keyPath: "id" });
      request.result.createObjectStore("chats", { keyPath: "id" });
    };
    return promised(request);
  })();
  database.catch(() => (database = null));
  return database;
}

// Heads lie apart, so that the list needs no chat to be read.
async function inBrowser<T>(mode: IDBTransactionMode, run: (heads: IDBObjectStore, chats: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const t = (await openDatabase()).transaction(["heads", "chats"], mode);
  const result = promised(run(t.objectStore("heads"), t.objectStore("chats")));
  const ended = new Promise<void>((done, fail) => {
    t.oncomplete = () => done();
    t.onabort = () => fail(t.error ?? new Error("IndexedDB"));
  });
  const [value] = await Promise.all([result, ended]);
  return value;
}

export const browserShelf: Shelf = {
  list: async () => newestFirst((await inBrowser("readonly", (heads) => heads.getAll())) as Head[]),
  load: async (id) => {
    const found: unknown = await inBrowser("readonly", (_, chats) => chats.get(id));
    return found ? readChat(found) : null;
  },
  save: async (chat) => {
    await inBrowser("readwrite", (heads, chats) => {
      heads.put({ id: chat.id, title: chat.title, changed: chat.changed } satisfies Head);
      return chats.put(chat);
    });
  },
  remove: async (id) => {
    await inBrowser("readwrite", (heads, chats) => {
      heads.delete(id);
      return chats.delete(id);
    });
  },
};

export const serverShelf: Shelf = {
  list: async () => newestFirst((await listChats()).map((h) => ({ id: h.id, title: h.title, changed: h.at * 1000 }))),
  load: async (id) => {
    const found = await getChat<unknown>(id);
    return found ? readChat(found) : null;
  },
  save: (chat) => putChat(chat.id, chat),
  remove: (id) => deleteChat(id),
};
