// What a model takes on this machine, part by part, and how much context fits under each KV policy.
import type { Mix, Plan } from "../api/store";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { bytes } from "../ui/bytes";
import { words } from "./words";

export function Fits({ mix }: { mix: Mix }) {
  const t = useText(words);
  const { language } = useSettings();
  const say = mix.fits ? t.fits : t.tooBig;
  return <p className={mix.fits ? "fits" : "too-big"}>{say(bytes(mix.needs_bytes, language), bytes(mix.has_bytes, language))}</p>;
}

export function PlanView({ plan }: { plan: Plan }) {
  const t = useText(words);
  const { language } = useSettings();
  const n = (v: number, digits = 0) => v.toLocaleString(language, { maximumFractionDigits: digits });
  const parts = [
    [t.weights, plan.bytes.weights], [t.kv, plan.bytes.kv], [t.activations, plan.bytes.activations], [t.fileBytes, plan.bytes.file],
    [t.tables, plan.bytes.tables], [t.program, plan.bytes.program],
  ] as const;
  return (
    <div className="plan">
      <Fits mix={plan} />
      {plan.speed && <p>{t.speed(n(plan.speed.tokens_per_second), n(plan.speed.ttft_ms), plan.speed.prompt)}</p>}
      <div className="plan-tables">
        <table>
          <caption>{t.parts}, {t.context(n(plan.context), plan.sessions)}</caption>
          <tbody>{parts.map(([name, of]) => <tr key={name}><th scope="row">{name}</th><td>{bytes(of, language)}</td></tr>)}</tbody>
        </table>
        <table>
          <caption>{t.contextFits}</caption>
          <tbody>{Object.entries(plan.context_fits).map(([name, most]) => <tr key={name}><th scope="row">{name}</th><td>{n(most)}</td></tr>)}</tbody>
        </table>
      </div>
    </div>
  );
}
