// The switches: which techniques answers to come are made with.
import { Radio } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { useText } from "../app/text";
import { apply, getSetting, names, techniqueOf, techniques, type Setting, type Technique } from "./technique";
import { words } from "./words";

// changed: bring what shows the same setting up to date. turn: the setting was changed elsewhere.
export function Techniques({ model, turn, changed }: { model: string; turn: number; changed: () => void }) {
  const t = useText(words);
  const [now, set] = useState<Setting | null>(null);
  const [why, tell] = useState("");
  const switched = useRef(0); // what was read before the last switch is old
  useEffect(() => {
    let current = true;
    const then = switched.current;
    getSetting(model).then((s) => current && then === switched.current && set(s), () => undefined); // the frame says when the server is away
    return () => {
      current = false;
    };
  }, [model, turn]);
  const switchTo = async (technique: Technique) => {
    tell("");
    switched.current++;
    set(techniques[technique]); // until the server says so
    try {
      await apply(model, techniques[technique]);
    } catch (e) {
      tell(t.refused(e instanceof Error ? e.message : String(e)));
    }
    changed();
  };
  return (
    <div className="techniques">
      <Radio.Group aria-label={t.techniques} value={(now && techniqueOf(now)) ?? ""} onChange={(v) => void switchTo(v as Technique)}>
        <div className="technique-list">
          {names.map((n) => <Radio key={n} value={n} label={t.technique[n]} description={t.techniqueMore[n]} />)}
        </div>
      </Radio.Group>
      <p role="status" className="live-more">{why || (now && t.setting(now.budget ? `${now.policy}, ${now.budget}` : now.policy, now.guess))} {t.memoryPlan}</p>
    </div>
  );
}
