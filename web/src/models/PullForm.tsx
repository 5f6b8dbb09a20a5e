// Pulls a model by name. Before it, the plan of what the name seems to mean; meanwhile, how far it has come.
import { Button, Checkbox, NativeSelect, Progress, TextInput } from "@mantine/core";
import { useEffect, useMemo, useRef, useState } from "react";
import { getMixes, pull, type Known, type Mix } from "../api/store";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { bytes } from "../ui/bytes";
import { knownAs, mixOf } from "./match";
import { Fits } from "./PlanView";
import { words } from "./words";

interface Running {
  name: string;
  stop: AbortController;
  status: string;
  done: number;
  all: number;
}

export function PullForm({ catalogue, changed }: { catalogue: Known[]; changed: () => void }) {
  const t = useText(words);
  const { language } = useSettings();
  const [name, setName] = useState("");
  const [chosen, choose] = useState("");
  const [accepted, accept] = useState(false);
  const [running, run] = useState<Running | null>(null);
  const [told, tell] = useState("");
  const known = useMemo(() => catalogue.find((k) => k.name === chosen) ?? knownAs(name, catalogue), [catalogue, chosen, name]);
  const mounted = useRef<Running>(null);
  useEffect(() => () => mounted.current?.stop.abort(), []);

  const start = async () => {
    const source = name.trim();
    const now: Running = { name: source, stop: new AbortController(), status: "", done: 0, all: 0 };
    mounted.current = now;
    run(now);
    tell("");
    try {
      for await (const line of pull(source, accepted, now.stop.signal))
        run((old) => (old ? { ...old, status: line.status ?? "", done: line.completed ?? old.done, all: line.total ?? old.all } : old));
      tell(t.pulled(source));
    } catch (why) {
      if (now.stop.signal.aborted) tell(t.stopped);
      else tell(t.failed((why instanceof Error && why.message) || t.cut));
    }
    run(null);
    changed();
  };

  return (
    <>
      <form className="pull" onSubmit={(e) => { e.preventDefault(); if (name.trim() && !running) void start(); }}>
        <TextInput label={t.pullName} placeholder="hf.co/ORG/REPO:Q4_K_M" value={name} onChange={(e) => { setName(e.target.value); tell(""); }} disabled={!!running} spellCheck={false} />
        <NativeSelect label={t.catalogue} value={chosen} onChange={(e) => choose(e.target.value)}
          data={[{ value: "", label: t.catalogueNone }, ...catalogue.map((k) => ({ value: k.name, label: k.name }))]} />
        {/* keys: the click that stops must not end as a submit of the button that takes its place */}
        {running
          ? <Button key="stop" variant="default" onClick={() => running.stop.abort()}>{t.stop}</Button>
          : <Button key="start" type="submit" disabled={!name.trim()}>{t.start}</Button>}
        {name.trim() && !running && <Checkbox className="pull-accept" checked={accepted} onChange={(e) => accept(e.target.checked)} label={t.accept(name.trim())} />}
      </form>
      {known ? <Before key={known.name} known={known} name={name} /> : name.trim() && <p className="models-more">{t.unknown}</p>}
      {running && (
        <div className="pull-progress">
          <Progress.Root size="lg"><Progress.Section value={running.all ? (100 * running.done) / running.all : 0} aria-label={running.name} /></Progress.Root>
          <span>{running.status}{running.all > 0 && `, ${t.progress(bytes(running.done, language), bytes(running.all, language))}`}</span>
        </div>
      )}
      <p role="status" className="model-why">{told}</p>
    </>
  );
}

// Whether what is about to be pulled fits, and what would.
function Before({ known, name }: { known: Known; name: string }) {
  const t = useText(words);
  const { language } = useSettings();
  const [mixes, set] = useState<Mix[] | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    getMixes(known.name, stop.signal).then(set, () => undefined);
    return () => stop.abort();
  }, [known.name]);
  if (!mixes) return <p className="models-more" role="status">{t.checking}</p>;
  const mix = mixOf(name, mixes);
  const other = mixes.find((m) => m.fits);
  return (
    <div className="plan" role="status">
      {mix && <p>{t.as(known.name, mix.quantization, bytes(mix.model_bytes, language))}. {t.licence}: {known.licence} ({t.use[known.use] ?? known.use}).</p>}
      {mix && <Fits mix={mix} />}
      {mix && !mix.fits && <p>{other ? t.smaller(other.quantization) : t.noneFits} {t.anyway}</p>}
    </div>
  );
}
