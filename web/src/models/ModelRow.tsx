// One model that is here: open and close it, delete it, and its plan when asked for.
import { Button } from "@mantine/core";
import { useEffect, useState } from "react";
import { getPlan, load, remove, unload, type Installed, type Plan } from "../api/store";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { bytes } from "../ui/bytes";
import { PlanView } from "./PlanView";
import { words } from "./words";

export function ModelRow({ model, changed }: { model: Installed; changed: () => void }) {
  const t = useText(words);
  const { language } = useSettings();
  const [plan, setPlan] = useState<Plan | null>(null);
  const [shown, show] = useState(false);
  const [asking, ask] = useState(false);
  const [busy, setBusy] = useState(false);
  const [why, setWhy] = useState("");
  const { id, loaded } = model;
  useEffect(() => {
    const stop = new AbortController();
    getPlan(id, stop.signal).then(setPlan, (e: unknown) => stop.signal.aborted || setWhy(t.failed(e instanceof Error ? e.message : String(e))));
    return () => stop.abort();
  }, [id, loaded, t]);
  const act = async (what: () => Promise<void>) => {
    setBusy(true);
    setWhy("");
    try {
      await what();
    } catch (e) {
      setWhy(t.failed(e instanceof Error ? e.message : String(e)));
    }
    setBusy(false);
    ask(false);
    changed();
  };
  return (
    <li className="model" data-loaded={loaded}>
      <div className="model-head">
        <h3>{id}</h3>
        <span className="model-state">{loaded ? t.open : t.closed}{model.stays && `, ${t.stays}`}</span>
        <span>{loaded ? t.inMemory(bytes(model.bytes, language)) : t.file(bytes(model.bytes, language))}</span>
        {plan && <span>{plan.quantization}</span>}
        {plan && <span>{t.licence}: {plan.license || t.noLicence} ({t.use[plan.use] ?? plan.use})</span>}
      </div>
      <div className="model-tools">
        <Button size="xs" variant="default" aria-expanded={shown} onClick={() => show(!shown)} aria-label={t.planOf(id)}>{t.plan}</Button>
        {loaded
          ? !model.stays && <Button size="xs" variant="default" loading={busy} aria-label={`${t.unload}: ${id}`} onClick={() => void act(() => unload(id))}>{t.unload}</Button>
          : <Button size="xs" loading={busy} aria-label={`${t.load}: ${id}`} onClick={() => void act(() => load(id))}>{t.load}</Button>}
        {plan?.stored && !asking && <Button size="xs" variant="default" aria-label={`${t.remove}: ${id}`} onClick={() => ask(true)}>{t.remove}</Button>}
      </div>
      {asking && (
        <div className="model-ask" role="alertdialog" aria-label={t.removeAsk(id)}>
          <span>{t.removeAsk(id)}</span>
          <Button size="xs" variant="default" autoFocus onClick={() => ask(false)}>{t.cancel}</Button>
          <Button size="xs" color="red.8" loading={busy} onClick={() => void act(() => remove(id))}>{t.removeNow}</Button>
        </div>
      )}
      <p role="status" className="model-why">{why}</p>
      {shown && plan && <PlanView plan={plan} />}
    </li>
  );
}
