// One conversation of a person who speaks by choosing: what was heard goes into a session that the server runs ahead, a
// round fills the cards and replaces them as better replies come, and what is chosen is told. React only looks at it.
import { askRound, chose, hold, reject, startTalk, tellTalk, type Reply, type TalkStart } from "../api/candidates";
import { own } from "./words";

export const CARDS = 4;
const MOST_AVOIDED = 24;
const PATIENCE = 4000; // ms until the first event; then this page's own replies stand in

export interface Card extends Reply {
  final: boolean;
  replaced: boolean; // by a later stage
}

export interface View {
  cards: (Card | null)[];
  state: "start" | "asking" | "ready" | "away";
  said: string; // last spoken
}

export interface Manner extends TalkStart {
  language: "en" | "ja";
  budget: number;
  voice: boolean;
}

const nothing: (Card | null)[] = Array<null>(CARDS).fill(null);

export class Talk {
  private view: View = { cards: nothing, state: "start", said: "" };
  private readonly watchers = new Set<() => void>();
  private session = "";
  private made = ""; // for which manner the session was made
  private round = "";
  private heard = "";
  private seen: string[] = [];
  private at = -1;
  private told: Promise<void> = Promise.resolve();
  private running: AbortController | null = null;
  manner: Manner = { profile: {}, model: "", language: "en", budget: 400, voice: true };

  subscribe = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };
  get = (): View => this.view;

  private set(some: Partial<View>): void {
    this.view = { ...this.view, ...some };
    for (const w of this.watchers) w();
  }

  // What was said, into the session: one after the other, so that two do not make two sessions.
  private tell(text: string): Promise<void> {
    this.told = this.told.catch(() => undefined).then(async () => {
      const { profile, model, cascade } = this.manner;
      const made = JSON.stringify([profile, model, cascade]);
      if (this.session && this.made === made) {
        try {
          await tellTalk(this.session, text);
          return;
        } catch {
          // it has ended: another one
        }
      }
      this.session = await startTalk({ profile, model, ...(cascade && { cascade }) }, text);
      this.made = made;
    });
    return this.told;
  }

  async hear(text: string): Promise<void> {
    this.heard = text;
    this.seen = [];
    this.running?.abort(); // a round under way answers something else
    this.set({ cards: nothing, state: "asking" });
    try {
      await this.tell(text);
    } catch {
      this.session = "";
    }
    await this.ask();
  }

  private put(index: number, reply: Reply, final: boolean, replaced: boolean): void {
    const old = this.view.cards[index];
    if (index >= CARDS || (this.at === index && old?.final)) return; // what is looked at does not change
    if (old?.final && old.text === reply.text) return;
    if (final) this.seen.push(reply.text);
    this.set({ cards: this.view.cards.map((c, i) => (i === index ? { ...reply, final, replaced } : c)) });
  }

  async ask(): Promise<void> {
    this.running?.abort();
    const stop = new AbortController();
    this.running = stop;
    const avoid = [...new Set(this.seen)].slice(-MOST_AVOIDED);
    this.round = "";
    this.set({ cards: nothing, state: "asking" });
    const patience = setTimeout(() => stop.abort("slow"), PATIENCE);
    try {
      if (!this.session) await this.tell(this.heard || "…");
      const { budget, cascade } = this.manner;
      for await (const e of askRound({ session: this.session, n: CARDS, budget_ms: budget, avoid, ...(cascade && { cascade }) }, stop.signal)) {
        if (this.running !== stop) return;
        clearTimeout(patience);
        this.round = e.id;
        this.put(e.index, e.reply, e.name !== "candidate.partial", e.name === "stage.replaced");
        if (this.view.cards.every((c) => c?.final)) this.set({ state: "ready" });
      }
      this.set({ state: "ready" });
    } catch {
      if (this.running === stop && (!stop.signal.aborted || stop.signal.reason === "slow")) this.alone(avoid);
    } finally {
      clearTimeout(patience);
    }
  }

  // Without the server.
  private alone(avoid: string[]): void {
    this.session = "";
    this.round = "";
    const all = own[this.manner.language];
    let left = all.filter(([, text]) => !avoid.includes(text));
    if (left.length < CARDS) {
      left = [...all];
      this.seen = [];
    }
    left.slice(0, CARDS).forEach(([axis, text], i) => this.view.cards[i]?.final || this.put(i, { axis, text, source: "page" }, true, false));
    this.set({ state: "away" });
  }

  // What the person is at; -1: nothing. A later stage does not replace it.
  point(index: number): void {
    this.at = index;
    if (index >= 0 && index < CARDS && this.round) hold(this.round, index).catch(() => undefined);
  }

  others(): void {
    if (this.session)
      for (const c of this.view.cards) if (c?.final) reject(this.session, c.text).catch(() => undefined);
    void this.ask();
  }

  choose(index: number): boolean {
    const card = this.view.cards[index];
    if (!card?.final) return false;
    this.speak(card.text);
    if (this.session) chose(this.session, card, this.round).catch(() => undefined);
    this.seen = [];
    return true;
  }

  again(): void {
    if (this.view.said) this.speak(this.view.said);
  }

  private speak(text: string): void {
    this.set({ said: text });
    if (!this.manner.voice || !("speechSynthesis" in window)) return;
    const u = new SpeechSynthesisUtterance(text);
    u.lang = this.manner.language === "ja" ? "ja-JP" : "en-US";
    speechSynthesis.cancel();
    speechSynthesis.speak(u);
  }

  stop(): void {
    this.running?.abort();
    this.running = null;
  }
}
