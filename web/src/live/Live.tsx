// The panel that shows the engine at work: rates, memory, pages of keys and values, and the switch for how they are kept.
import "./live.css";
import { useCallback, useMemo, useState, type ReactNode } from "react";
import { useServer } from "../app/server";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { Chart } from "./Chart";
import { Compare } from "./Compare";
import { Pages } from "./Pages";
import { PolicyForm } from "./PolicyForm";
import { growth, latest, useLive } from "./samples";
import { Techniques } from "./Techniques";
import { words } from "./words";

const MB = 1 << 20;

export default function Live() {
  const t = useText(words);
  const { language } = useSettings();
  const { model } = useServer();
  const live = useLive(model);
  const [turn, setTurn] = useState(0); // how often the setting was changed here: what shows it looks again
  const changed = useCallback(() => setTurn((n) => n + 1), []);
  const n = (v: number, digits = 0) => v.toLocaleString(language, { maximumFractionDigits: digits });
  const mb = (name: string) => `${n(latest(live, name) / MB, 1)} MB`;
  const share = (part: number, whole: number) => (whole > 0 ? `${n((part / whole) * 100, 1)} %` : "–");

  const tokens = growth(live.samples, "completion_tokens_total");
  const steps = growth(live.samples, "steps_total");
  const batch = growth(live.samples, "step_tokens_total");
  const firstSum = latest(live, "first_token_seconds_sum");
  const firstCount = latest(live, "first_token_seconds_count");
  const prompt = latest(live, "prompt_tokens_total");
  const cached = latest(live, "prompt_tokens_cached_total");
  const guessed = latest(live, "guessed_tokens_total");
  const right = latest(live, "guessed_tokens_accepted_total");

  const at = useMemo(() => live.samples.map((s) => s.at), [live.samples]);
  const speed = useMemo(() => [{ label: t.speed, values: live.samples.map((s) => s.speed) }], [live.samples, t.speed]);
  const kv = useMemo(
    () => [
      { label: t.inMemory, values: live.samples.map((s) => (s.metrics.get("kv_resident_bytes") ?? 0) / MB) },
      { label: t.full, values: live.samples.map((s) => (s.metrics.get("kv_full_precision_bytes") ?? 0) / MB) },
    ],
    [live.samples, t.inMemory, t.full],
  );

  return (
    <div className="panel-page live">
      <h1>{t.title}</h1>
      <dl className="figures-row">
        <Figure name={t.speed} value={tokens.seconds > 0 ? n(tokens.by / tokens.seconds) : "–"} more={t.recent} />
        <Figure name={t.requests} value={n(latest(live, "answers_generating"))} more={t.waiting(latest(live, "requests_reading"), latest(live, "requests_waiting"))} />
        <Figure name={t.batch} value={steps.by > 0 ? n(batch.by / steps.by, 1) : "–"} more={t.recent} />
        <Figure name={t.first} value={firstCount > 0 ? `${n((firstSum / firstCount) * 1000, 1)} ms` : "–"} more={t.since} />
        <Figure name={t.prefix} value={share(cached, prompt)} more={t.ofTokens(n(cached), n(prompt))} />
        <Figure name={t.guesses} value={share(right, guessed)} more={t.ofTokens(n(right), n(guessed))} />
      </dl>
      <div className="two">
        <Chart label={t.chartSpeed} at={at} lines={speed} />
        <Chart label={t.chartKv} at={at} lines={kv} />
      </div>
      <Section title={t.techniques} more={t.techniquesMore}>{model && <Techniques model={model} turn={turn} changed={changed} />}</Section>
      <Section title={t.pages} more={t.pagesMore}><Pages pages={live.pages} total={live.total} /></Section>
      <div className="two">
        <Section title={t.policy} more={t.policyMore}>{model && <PolicyForm key={model} model={model} turn={turn} changed={changed} />}</Section>
        <Section title={t.memory}>
          <dl className="kinds">
            <Kind name={t.model} value={mb("model_bytes")} />
            <Kind name={t.resident} value={mb("kv_resident_bytes")} />
            <Kind name={t.full} value={mb("kv_full_precision_bytes")} />
            <Kind name={t.idle} value={mb("kv_idle_bytes")} />
            <Kind name={t.spilled} value={mb("kv_spilled_bytes")} />
            <Kind name={t.process} value={mb("resident_bytes")} />
          </dl>
        </Section>
      </div>
      <Section title={t.ab} more={t.abMore}>{model && <Compare model={model} changed={changed} />}</Section>
    </div>
  );
}

function Figure({ name, value, more }: { name: string; value: string; more: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}<span>{more}</span></dd>
    </div>
  );
}

function Kind({ name, value }: { name: string; value: string }) {
  return <div><dt>{name}</dt><dd>{value}</dd></div>;
}

function Section({ title, more, children }: { title: string; more?: string; children: ReactNode }) {
  return (
    <section>
      <h2>{title}</h2>
      {more && <p className="live-more">{more}</p>}
      {children}
    </section>
  );
}
