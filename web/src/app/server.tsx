// Whether the server answers, and its models: asked every few seconds while the page is in view.
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { ApiError } from "../api/http";
import { listModels, type Model } from "../api/models";
import { useSettings } from "./settings";

export type Reach = "asking" | "online" | "offline" | "locked"; // locked: the server wants a key

interface ServerValue {
  reach: Reach;
  models: Model[];
  model: string; // the chosen one when the server has it, else its first; "" before it is known
  ask: () => void; // now, not at the next turn
}

const EVERY = 5000;
const EVERY_WHILE_OFFLINE = 1500;

const Context = createContext<ServerValue | null>(null);

const sameModels = (a: Model[], b: Model[]) => JSON.stringify(a) === JSON.stringify(b);

export function ServerProvider({ children }: { children: ReactNode }) {
  const settings = useSettings();
  const [reach, setReach] = useState<Reach>("asking");
  const [models, setModels] = useState<Model[]>([]);
  const wake = useRef<() => void>(() => undefined);

  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    let turn = 0; // an answer to an older question than the last is dropped
    const ask = async () => {
      const mine = ++turn;
      clearTimeout(timer);
      let next = EVERY;
      try {
        const list = await listModels(AbortSignal.any([stop.signal, AbortSignal.timeout(10_000)]));
        if (mine !== turn) return;
        setModels((old) => (sameModels(old, list) ? old : list));
        setReach("online");
      } catch (why) {
        if (stop.signal.aborted || mine !== turn) return;
        const status = why instanceof ApiError ? why.status : 0;
        setReach(status === 401 ? "locked" : "offline");
        next = EVERY_WHILE_OFFLINE;
      }
      timer = window.setTimeout(() => void (document.hidden ? undefined : ask()), next);
    };
    wake.current = () => void ask();
    const shown = () => void (document.hidden ? undefined : ask());
    document.addEventListener("visibilitychange", shown);
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, [settings.key]);

  const ask = useCallback(() => wake.current(), []);
  const model = models.find((m) => m.id === settings.model)?.id ?? models[0]?.id ?? "";
  const value = useMemo(() => ({ reach, models, model, ask }), [reach, models, model, ask]);
  return <Context value={value}>{children}</Context>;
}

export function useServer(): ServerValue {
  const value = useContext(Context);
  if (!value) throw new Error("useServer outside of ServerProvider");
  return value;
}
