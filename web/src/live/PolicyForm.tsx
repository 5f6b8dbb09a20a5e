// Changes how keys and values are kept, while the server runs.
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useEffect, useState } from "react";
import { getPolicy, setPolicy } from "../api/live";
import { useText } from "../app/text";
import { words } from "./words";

export function PolicyForm({ model, turn, changed }: { model: string; turn: number; changed: () => void }) {
  const t = useText(words);
  const [policy, set] = useState("f16");
  const [budget, setBudget] = useState("");
  const [now, tell] = useState<{ policy: string } | { why: string } | null>(null);
  useEffect(() => {
    let current = true;
    getPolicy(model).then(
      (p) => {
        if (!current) return;
        set(p.policy);
        setBudget(p.budget);
        tell({ policy: p.budget ? `${p.policy}, ${p.budget}` : p.policy });
      },
      (why: unknown) => current && tell({ why: why instanceof Error ? why.message : String(why) }),
    );
    return () => {
      current = false;
    };
  }, [model, turn]);
  const known = [
    { value: "f16", label: t.f16 }, { value: "uniform:q8", label: t.q8 }, { value: "uniform:q4", label: t.q4 }, { value: "window:1024", label: t.window },
    { value: "h2o", label: t.h2o }, { value: "staged", label: t.staged }, { value: "staged-rule", label: t.stagedRule },
  ];
  const choices = known.some((k) => k.value === policy) ? known : [{ value: policy, label: policy }, ...known];
  const apply = () =>
    setPolicy(model, { policy, budget }).then(
      (p) => {
        set(p.policy);
        setBudget(p.budget);
        changed();
      },
      (why: unknown) => tell({ why: why instanceof Error ? why.message : String(why) }),
    );
  return (
    <form className="policy" onSubmit={(e) => { e.preventDefault(); void apply(); }}>
      <NativeSelect label={t.policyLabel} data={choices} value={policy} onChange={(e) => set(e.target.value)} />
      <TextInput label={t.budget} placeholder={t.budgetHint} value={budget} onChange={(e) => setBudget(e.target.value)} />
      <Button type="submit">{t.apply}</Button>
      <p role="status">{now === null ? "" : "why" in now ? t.refused(now.why) : t.applied(now.policy)}</p>
    </form>
  );
}
