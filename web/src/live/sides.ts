// A/B: one prompt under two settings, one after the other, because two at once would share the machine (and nothing is
// guessed then). Before each, the prompt is read once, so that both begin with it known; what was set before is set again.
import { streamChat, type ChatDelta } from "../api/chat";
import { apply, getSetting, techniques, type Technique } from "./technique";

export interface Side {
  technique: Technique;
  text: string;
  first: number; // ms to the first token, by this page's clock
  total: number; // ms
  tokens: number;
  perSecond: number; // of generation, by the server's
  cached: number; // tokens of the prompt that were known
  guessed: number;
  accepted: number;
}

export const emptySide = (technique: Technique): Side =>
  ({ technique, text: "", first: 0, total: 0, tokens: 0, perSecond: 0, cached: 0, guessed: 0, accepted: 0 });

function take(side: Side, d: ChatDelta, since: number): Side {
  return {
    ...side,
    text: side.text + (d.reasoning ?? "") + (d.text ?? ""),
    first: side.first || (d.text || d.reasoning ? performance.now() - since : 0),
    total: performance.now() - since,
    tokens: d.tokens ?? side.tokens,
    perSecond: d.perSecond ?? side.perSecond,
    cached: d.cached ?? side.cached,
    guessed: d.guessed ?? side.guessed,
    accepted: d.accepted ?? side.accepted,
  };
}

export async function compare(model: string, prompt: string, tokens: number, sides: [Technique, Technique], told: (index: number, side: Side) => void, signal: AbortSignal): Promise<void> {
  const before = await getSetting(model);
  const request = { model, messages: [{ role: "user" as const, content: prompt }], temperature: 0, seed: 1 };
  try {
    for (const [index, technique] of sides.entries()) {
      let side = emptySide(technique);
      told(index, side);
      await apply(model, techniques[technique]);
      for await (const _ of streamChat({ ...request, max_tokens: 1 }, signal)); // the prompt is read
      const since = performance.now();
      for await (const d of streamChat({ ...request, max_tokens: tokens }, signal)) {
        side = take(side, d, since);
        told(index, side);
      }
    }
  } finally {
    await apply(model, before);
  }
}
