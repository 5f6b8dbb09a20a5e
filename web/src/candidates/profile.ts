// A profile as it is edited: lists are lines of text. What the form does not show stays as it was.
import type { Profile, Scene } from "../api/candidates";

export interface Draft {
  id: string;
  about: string;
  language: "en" | "ja";
  scenes: { cues: string; replies: string }[];
  rest: Profile;
}

export const emptyDraft = (language: "en" | "ja"): Draft => ({ id: "", about: "", language, scenes: [], rest: {} });

export const draftOf = (id: string, p: Profile): Draft => ({
  id,
  about: p.about ?? "",
  language: p.language === "ja" ? "ja" : "en",
  scenes: (p.scenes ?? []).map((s) => ({ cues: s.cues.join(", "), replies: s.replies.map((r) => `${r.axis}: ${r.text}`).join("\n") })),
  rest: p,
});

export class BadReply extends Error {}

// Throws BadReply with the line that is none.
export function profileOf(d: Draft): Profile {
  const scenes: Scene[] = d.scenes.map((s) => ({
    cues: s.cues.split(/[,、]/).map((c) => c.trim()).filter(Boolean),
    replies: s.replies.split("\n").map((l) => l.trim()).filter(Boolean).map((line) => {
      const [, axis = "", text = ""] = /^([^:：]+)[:：]\s*(.+)$/.exec(line) ?? [];
      if (!text) throw new BadReply(line);
      return { axis: axis.trim(), text };
    }),
  }));
  const { about: _, ...rest } = d.rest;
  return { ...rest, ...(d.about.trim() && { about: d.about.trim() }), language: d.language, scenes };
}
