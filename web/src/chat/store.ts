// The open chat and the answer being written, outside of React: an answer goes on while another panel is looked at.
//
// While it is written an answer lies in `live`, published once a frame however many tokens come; only the message on
// the screen listens to that. It enters the chat, and the shelf, every two seconds and when it ends.
import { streamChat, type ChatDelta } from "../api/chat";
import { ApiError } from "../api/http";
import { requestOf, type Wrong } from "./request";
import { browserShelf, type Head, type Shelf } from "./shelf";
import { lineOf, newChat, newId, withChosen, withMessage, type Attachment, type Chat, type ChatOptions, type Message } from "./tree";

const SAVE_EVERY = 2000;

export interface ChatState {
  chat: Chat;
  heads: Head[];
  writing: string | null; // id of the answer being written
  trouble: string | null; // chats could not be read or kept
  loading: boolean;
}

class Emitter {
  private listeners = new Set<() => void>();
  subscribe = (f: () => void) => {
    this.listeners.add(f);
    return () => void this.listeners.delete(f);
  };
  protected emit() {
    for (const f of this.listeners) f();
  }
}

class Live extends Emitter {
  private message: Message | null = null;
  get = () => this.message;
  set(m: Message | null) {
    this.message = m;
    this.emit();
  }
}

class Store extends Emitter {
  readonly live = new Live();
  private state: ChatState = { chat: newChat(), heads: [], writing: null, trouble: null, loading: false };
  private shelf: Shelf = browserShelf;
  private stopper: AbortController | null = null;
  private saving = Promise.resolve();
  private answering = Promise.resolve();
  get = () => this.state;

  private set(some: Partial<ChatState>) {
    this.state = { ...this.state, ...some };
    this.emit();
  }

  async useShelf(shelf: Shelf) {
    this.shelf = shelf;
    await this.relist();
  }

  private async relist() {
    try {
      this.set({ heads: await this.shelf.list(), trouble: null });
    } catch (why) {
      this.set({ heads: [], trouble: String(why instanceof Error ? why.message : why) });
    }
  }

  // Saves follow one another, so that an older state never replaces a newer one.
  private save(chat: Chat): Promise<void> {
    this.saving = this.saving
      .then(() => this.shelf.save(chat))
      .then(() => this.relist())
      .catch((why: unknown) => this.set({ trouble: String(why instanceof Error ? why.message : why) }));
    return this.saving;
  }

  // "": a new one, with the options of the one before.
  async open(id: string) {
    if (id === this.state.chat.id) return;
    if (!id && Object.keys(this.state.chat.messages).length === 0) return;
    await this.leave();
    if (!id) {
      this.set({ chat: newChat(this.state.chat.options) });
      return;
    }
    this.set({ loading: true });
    try {
      await this.saving;
      const chat = await this.shelf.load(id);
      this.set({ chat: chat ?? newChat(), loading: false, trouble: null });
    } catch (why) {
      this.set({ chat: newChat(), loading: false, trouble: String(why instanceof Error ? why.message : why) });
    }
  }

  // The chat with a change that is kept; one without messages is not.
  private change(chat: Chat) {
    this.set({ chat });
    if (Object.keys(chat.messages).length > 0) void this.save(chat);
  }

  setOptions(options: ChatOptions) {
    this.change({ ...this.state.chat, options });
  }

  rename(title: string) {
    this.change({ ...this.state.chat, title });
  }

  choose(id: string) {
    if (!this.state.writing) this.change(withChosen(this.state.chat, id));
  }

  async remove(id: string) {
    if (id === this.state.chat.id) {
      await this.leave();
      this.set({ chat: newChat(this.state.chat.options) });
    }
    await this.saving;
    await this.shelf.remove(id);
    await this.relist();
  }

  async all(): Promise<Chat[]> {
    await this.saving;
    const chats = await Promise.all((await this.shelf.list()).map((h) => this.shelf.load(h.id)));
    return chats.filter((c) => c !== null);
  }

  async take(chats: Chat[]) {
    await this.saving;
    for (const chat of chats) await this.shelf.save(chat);
    await this.relist();
  }

  stop() {
    this.stopper?.abort();
  }

  // The chat may be changed for another when this has returned.
  private async leave() {
    this.stop();
    await this.answering;
  }

  // A new message of the person behind `parent`, and its answer.
  send(model: string, parent: string | null, text: string, attached: Attachment[] = []) {
    const m: Message = { id: newId("m"), parent, role: "user", text, at: Date.now() };
    if (attached.length) m.attached = attached;
    this.change(withMessage(this.state.chat, m));
    this.answer(model, m.id);
  }

  // The person's results for calls, one behind the other, and the answer to them.
  sendResults(model: string, parent: string, results: { callId: string; text: string }[]) {
    let chat = this.state.chat;
    let last = parent;
    for (const r of results) {
      const m: Message = { id: newId("m"), parent: last, role: "tool", text: r.text, callId: r.callId, at: Date.now() };
      chat = withMessage(chat, m);
      last = m.id;
    }
    this.change(chat);
    this.answer(model, last);
  }

  // The answer with other words: a branch beside it.
  rewrite(of: Message, text: string) {
    const { id: _, error: __, figures: ___, ...rest } = of;
    this.change(withMessage(this.state.chat, { ...rest, id: newId("m"), text, at: Date.now() }));
  }

  // Has the model answer the message; what goes wrong is told by the answer.
  answer(model: string, parent: string) {
    if (!this.state.writing) this.answering = this.write(model, parent);
  }

  private async write(model: string, parent: string): Promise<void> {
    const stopper = (this.stopper = new AbortController());
    const began = performance.now();
    let m: Message = { id: newId("m"), parent, role: "assistant", text: "", at: Date.now(), model };
    let first = 0;
    let frame = 0;
    let saved = began;
    const publish = () => {
      frame = 0;
      this.live.set(m);
      if (performance.now() - saved < SAVE_EVERY) return;
      saved = performance.now();
      void this.save(withMessage(this.state.chat, m));
    };
    this.live.set(m);
    this.set({ chat: withMessage(this.state.chat, m), writing: m.id });
    try {
      const { chat } = this.state;
      for await (const d of streamChat(requestOf(model, chat.options, lineOf(chat, parent)), stopper.signal)) {
        if (!first && (d.text || d.reasoning || d.calls)) first = performance.now();
        m = grown(m, d);
        if (d.tokens) m = { ...m, figures: { tokens: d.tokens, perSecond: d.perSecond ?? 0, first: (first - began) / 1000 } };
        frame ||= requestAnimationFrame(publish);
      }
    } catch (why) {
      m = stopper.signal.aborted ? { ...m, finish: "aborted" } : { ...m, error: explain(why) };
    }
    cancelAnimationFrame(frame);
    const done = withMessage(this.state.chat, m);
    this.set({ chat: done, writing: null });
    this.live.set(null);
    await this.save(done);
  }
}

function explain(why: unknown): string {
  if (why instanceof ApiError) return why.status === 0 ? "" : why.message;
  if (why instanceof Error) return why.message;
  const wrong = why as Wrong;
  return `${wrong.field}: ${wrong.why}`;
}

function grown(m: Message, d: ChatDelta): Message {
  const next = { ...m };
  if (d.text) next.text += d.text;
  if (d.reasoning) next.reasoning = (m.reasoning ?? "") + d.reasoning;
  if (d.finish) next.finish = d.finish;
  for (const c of d.calls ?? []) {
    const calls = [...(next.calls ?? [])];
    const old = calls[c.index] ?? { id: "", name: "", arguments: "" };
    calls[c.index] = { id: c.id ?? old.id, name: c.name ?? old.name, arguments: old.arguments + (c.arguments ?? "") };
    next.calls = calls;
  }
  return next;
}

export const store = new Store();
