// A/B: the same prompt under two settings, side by side, with what differs marked.
import { Button, NativeSelect, NumberInput, Textarea } from "@mantine/core";
import { useEffect, useMemo, useRef, useState } from "react";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { compare, type Side } from "./sides";
import { diff, type Piece } from "./diff";
import { names, type Technique } from "./technique";
import { words } from "./words";

const MOST_TOKENS = 1024;

export function Compare({ model, changed }: { model: string; changed: () => void }) {
  const t = useText(words);
  const [prompt, setPrompt] = useState("");
  const [tokens, setTokens] = useState(128);
  const [pair, setPair] = useState<[Technique, Technique]>(["baseline", "all"]);
  const [sides, setSides] = useState<Side[]>([]);
  const [why, tell] = useState("");
  const [running, setRunning] = useState(false);
  const stop = useRef<AbortController>(null);
  useEffect(() => () => stop.current?.abort(), []);
  const [left, right] = useMemo(() => (!running && sides[0] && sides[1] ? diff(sides[0].text, sides[1].text) : []), [sides, running]);

  const run = async () => {
    const mine = new AbortController();
    stop.current = mine;
    setRunning(true);
    setSides([]);
    tell("");
    try {
      await compare(model, prompt, tokens, pair, (index, side) => setSides((old) => (index === 0 ? [side] : [old[0]!, side])), mine.signal);
    } catch (e) {
      if (!mine.signal.aborted) tell(e instanceof Error ? e.message : String(e));
    }
    setRunning(false);
    changed();
  };
  const side = (index: 0 | 1, label: string) => (
    <NativeSelect label={label} value={pair[index]} data={names.map((n) => ({ value: n, label: t.technique[n] }))} disabled={running}
      onChange={(e) => setPair(index === 0 ? [e.target.value as Technique, pair[1]] : [pair[0], e.target.value as Technique])} />
  );
  const [a, b] = sides;
  return (
    <>
      <form className="compare" onSubmit={(e) => { e.preventDefault(); if (!running && prompt.trim()) void run(); }}>
        <Textarea label={t.prompt} autosize minRows={2} maxRows={8} value={prompt} onChange={(e) => setPrompt(e.target.value)} />
        {side(0, "A")}
        {side(1, "B")}
        <NumberInput label={t.mostTokens} min={1} max={MOST_TOKENS} allowDecimal={false} allowNegative={false} value={tokens}
          onChange={(v) => typeof v === "number" && v >= 1 && v <= MOST_TOKENS && setTokens(v)} />
        {running
          ? <Button key="stop" variant="default" onClick={() => stop.current?.abort()}>{t.stop}</Button>
          : <Button key="start" type="submit" disabled={!prompt.trim()}>{t.compare}</Button>}
      </form>
      <p role="status" className="live-more">{running ? t.comparing(t.technique[pair[sides.length > 1 ? 1 : 0]]) : why && t.failed(why)}</p>
      {a && (
        <div className="two">
          <Result name="A" side={a} pieces={left} other={b} />
          {b && <Result name="B" side={b} pieces={right} other={a} />}
        </div>
      )}
      {left && b && <p className="live-more">{left.every((p) => p.same) && right!.every((p) => p.same) ? t.same : t.differ}</p>}
    </>
  );
}

function Result({ name, side, pieces, other }: { name: string; side: Side; pieces: Piece[] | undefined; other: Side | undefined }) {
  const t = useText(words);
  const { language } = useSettings();
  const n = (v: number, digits = 0) => v.toLocaleString(language, { maximumFractionDigits: digits });
  // Beside the figure, how many times the other's; only when both are there.
  const times = (mine: number, its: number | undefined) => (pieces && its ? ` (${n(mine / its, 2)}×)` : "");
  return (
    <article className="result" aria-label={`${name}: ${t.technique[side.technique]}`}>
      <h3>{name}: {t.technique[side.technique]}</h3>
      <dl className="kinds">
        <div><dt>{t.first}</dt><dd>{n(side.first, 1)} ms{times(side.first, other?.first)}</dd></div>
        <div><dt>{t.whole}</dt><dd>{n(side.total)} ms{times(side.total, other?.total)}</dd></div>
        <div><dt>{t.speed}</dt><dd>{n(side.perSecond)}{times(side.perSecond, other?.perSecond)}</dd></div>
        <div><dt>{t.tokens}</dt><dd>{n(side.tokens)}</dd></div>
        <div><dt>{t.prefix}</dt><dd>{n(side.cached)}</dd></div>
        <div><dt>{t.guesses}</dt><dd>{t.ofTokens(n(side.accepted), n(side.guessed))}</dd></div>
      </dl>
      <p className="result-text" tabIndex={0}>{pieces ? pieces.map((p, i) => (p.same ? p.text : <mark key={i}>{p.text}</mark>)) : side.text}</p>
    </article>
  );
}
