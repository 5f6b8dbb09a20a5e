// The panel for who speaks by choosing: four cards, filled by a round of the server, taken by dwelling, one switch, or keys.
import "./candidates.css";
import { Button, TextInput } from "@mantine/core";
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { useServer } from "../app/server";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { ChoosingForm } from "./ChoosingForm";
import { usePointing } from "./pointing";
import { ProfileEditor } from "./ProfileEditor";
import { useChoosing } from "./settings";
import { CARDS, Talk } from "./talk";
import { words } from "./words";

const OTHERS = CARDS;
const AGAIN = CARDS + 1;

export default function Candidates() {
  const t = useText(words);
  const { language } = useSettings();
  const { model } = useServer();
  const [how, change] = useChoosing();
  const [heard, setHeard] = useState("");
  const talk = useMemo(() => new Talk(), []);
  const view = useSyncExternalStore(talk.subscribe, talk.get);
  useEffect(() => {
    talk.manner = {
      profile: how.profile || { language }, model, language, budget: how.budget, voice: how.voice,
      ...(how.better && how.better !== model && { cascade: [how.better] }),
    };
  }, [talk, how, language, model]);
  useEffect(() => () => talk.stop(), [talk]);

  const take = useCallback((i: number) => {
    if (i === OTHERS) talk.others();
    else if (i === AGAIN) talk.again();
    else talk.choose(i);
  }, [talk]);
  const pointed = useCallback((i: number) => talk.point(i), [talk]);
  const pointing = usePointing(how.by, how.by === "scan" ? how.scan : how.dwell, CARDS + 2, pointed, take);
  const { pick } = pointing;

  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.altKey || e.metaKey || e.isComposing) return;
      const on = e.target instanceof Element ? e.target.closest("input, select, textarea, summary, a, button, [role=dialog]") : null;
      if (on && !on.closest(".stage")) return; // theirs
      if (how.by === "scan" && (e.key === " " || e.key === "Enter")) {
        e.preventDefault();
        if (!e.repeat) pick();
      } else if (e.key >= "1" && e.key <= String(CARDS)) take(Number(e.key) - 1);
      else if (e.key === "0") take(OTHERS);
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [how.by, pick, take]);

  const field = (i: number) => ({
    "data-at": pointing.at === i,
    onPointerEnter: () => how.by === "dwell" && pointing.point(i),
    onPointerLeave: () => how.by === "dwell" && pointing.point(-1),
    onFocus: () => how.by === "keys" && pointing.point(i),
    onClick: (e: React.MouseEvent) => {
      e.stopPropagation();
      if (how.by === "scan") pick();
      else take(i);
    },
  });

  return (
    <div className="candidates">
      <h1 className="visually-hidden">{t.title}</h1>
      <form className="heard" onSubmit={(e) => { e.preventDefault(); if (heard.trim()) void talk.hear(heard.trim()); setHeard(""); if (document.activeElement instanceof HTMLElement) document.activeElement.blur(); }}>
        <TextInput aria-label={t.heard} placeholder={t.heard} value={heard} onChange={(e) => setHeard(e.target.value)} size="md" />
        <Button type="submit" size="md">{t.say}</Button>
      </form>
      <p role="status" className="candidates-state">
        {t[view.state]} {how.by === "scan" ? t.scanHelp : how.by === "dwell" ? t.dwellHelp : t.keysHelp} {view.said && t.said(view.said)}
      </p>
      {/* in scanning a click anywhere on the stage is the switch; its fields are buttons all the same */}
      <div className="stage" onClick={() => how.by === "scan" && pick()}>
        {view.cards.map((card, i) => (
          <button key={i} type="button" className="card" data-final={card?.final ?? false} data-source={card?.source}
            aria-label={card ? undefined : t.empty(i + 1)} {...field(i)}>
            <i ref={pointing.field(i)} />
            <small>{i + 1} {card?.final && (t.source[card.source] ?? card.source)}{card?.replaced && ` · ${t.replaced}`}</small>
            <span>{card?.text}</span>
          </button>
        ))}
        <button type="button" className="card small" {...field(OTHERS)}><i ref={pointing.field(OTHERS)} /><span>{t.others}</span></button>
        <button type="button" className="card small" {...field(AGAIN)}><i ref={pointing.field(AGAIN)} /><span>{t.again}</span></button>
      </div>
      <div className="candidates-more">
        <ChoosingForm how={how} change={change} />
        <ProfileEditor chosen={how.profile} choose={(profile) => change({ profile })} />
      </div>
    </div>
  );
}
