// The panel of what is on this machine and what could be: plan, open, close, delete, pull.
import "./models.css";
import { useCallback, useEffect, useState } from "react";
import { getMachine, listInstalled, type Installed, type Machine } from "../api/store";
import { useServer } from "../app/server";
import { useSettings } from "../app/settings";
import { useText } from "../app/text";
import { bytes } from "../ui/bytes";
import { ModelRow } from "./ModelRow";
import { PullForm } from "./PullForm";
import { words } from "./words";

export default function Models() {
  const t = useText(words);
  const { language } = useSettings();
  const { reach, models, ask } = useServer();
  const [machine, setMachine] = useState<Machine | null>(null);
  const [installed, setInstalled] = useState<Installed[] | null>(null);
  const [turn, again] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    // while the server is away, the frame says so
    getMachine(stop.signal).then(setMachine, () => undefined);
    listInstalled(stop.signal).then(setInstalled, () => undefined);
    return () => stop.abort();
  }, [turn, models, reach]);
  const changed = useCallback(() => {
    again((n) => n + 1);
    ask();
  }, [ask]);
  const m = machine?.machine;
  return (
    <div className="panel-page models">
      <h1>{t.title}</h1>
      {m && (
        <p className="models-machine">
          {[t.machine(m.cpu, m.isa, m.threads), t.memory(bytes(m.available_bytes, language), bytes(m.memory_bytes, language)),
            m.probed ? t.reads(bytes(m.read_bytes_per_second, language)) : t.notProbed].join(" · ")}
        </p>
      )}
      <section>
        <h2>{t.installed}</h2>
        {installed?.length === 0 && <p className="models-more">{t.none}</p>}
        <ul className="models-list">{installed?.map((one) => <ModelRow key={one.id} model={one} changed={changed} />)}</ul>
      </section>
      <section>
        <h2>{t.pull}</h2>
        <p className="models-more">{t.pullMore}</p>
        <PullForm catalogue={machine?.catalogue ?? []} changed={changed} />
      </section>
    </div>
  );
}
