// The panel that measures: a bench in the server, and those that were run, compared.
import "./bench.css";
import { Button, NativeSelect, NumberInput } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { runBench, type BenchOrder, type BenchRun } from "../api/bench";
import { useServer } from "../app/server";
import { useText } from "../app/text";
import { Compared } from "./Compared";
import { useKept } from "./kept";
import { words } from "./words";

const numbers = [
  { name: "prompt", min: 1, max: 8192 },
  { name: "generate", min: 2, max: 1024 },
  { name: "repetitions", min: 1, max: 30 },
] as const;

export default function Bench() {
  const t = useText(words);
  const { models, model } = useServer();
  const [order, setOrder] = useState<BenchOrder>({ model: "", prompt: 256, generate: 64, repetitions: 5 });
  const [kept, change] = useKept();
  const [told, tell] = useState("");
  const [running, setRunning] = useState(false);
  const stop = useRef<AbortController>(null);
  useEffect(() => () => stop.current?.abort(), []);

  const run = async () => {
    const mine = new AbortController();
    stop.current = mine;
    setRunning(true);
    tell(t.warming);
    const runs: BenchRun[] = [];
    try {
      for await (const e of runBench({ ...order, model: order.model || model }, mine.signal)) {
        if ("run" in e) {
          runs.push(e.run);
          tell(t.running(runs.length, order.repetitions));
        } else {
          change((old) => [{ ...e.done, at: Date.now(), runs }, ...old]);
          tell(t.done);
        }
      }
    } catch (why) {
      tell(mine.signal.aborted ? t.stopped : t.failed((why instanceof Error && why.message) || t.cut));
    }
    setRunning(false);
  };

  return (
    <div className="panel-page bench">
      <h1>{t.title}</h1>
      <p className="bench-more">{t.more}</p>
      <form className="order" onSubmit={(e) => { e.preventDefault(); if (!running) void run(); }}>
        <NativeSelect label={t.model} value={order.model || model} data={models.map((m) => m.id)} disabled={running} onChange={(e) => setOrder({ ...order, model: e.target.value })} />
        {numbers.map(({ name, min, max }) => (
          <NumberInput key={name} label={t[name]} min={min} max={max} allowDecimal={false} allowNegative={false} clampBehavior="blur" disabled={running} value={order[name]}
            onChange={(v) => typeof v === "number" && v >= min && v <= max && setOrder({ ...order, [name]: v })} />
        ))}
        {running
          ? <Button key="stop" variant="default" onClick={() => stop.current?.abort()}>{t.stop}</Button>
          : <Button key="start" type="submit" disabled={!model}>{t.start}</Button>}
      </form>
      <p role="status" className="bench-more">{told}</p>
      <h2>{t.kept}</h2>
      {kept.length === 0 ? <p className="bench-more">{t.none}</p> : <Compared kept={kept} remove={(at) => change((old) => old.filter((k) => k.at !== at))} />}
    </div>
  );
}
