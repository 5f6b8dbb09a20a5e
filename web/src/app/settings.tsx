// What the person chose for this browser: language, the server's key, the model to talk to. Kept in localStorage.
import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { setKey } from "../api/http";
import { browserLanguage, type Language } from "./text";

export interface Settings {
  language: Language;
  key: string; // for servers with --api-key; "": none
  model: string; // "": the server's first
  shelf: "browser" | "server"; // where chats are kept
}

interface SettingsValue extends Settings {
  change: (some: Partial<Settings>) => void;
}

const NAME = "irori.settings";

function load(): Settings {
  const base: Settings = { language: browserLanguage(), key: "", model: "", shelf: "browser" };
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "{}") as Partial<Settings>;
    return {
      language: kept.language === "ja" || kept.language === "en" ? kept.language : base.language,
      key: typeof kept.key === "string" ? kept.key : "",
      model: typeof kept.model === "string" ? kept.model : "",
      shelf: kept.shelf === "server" ? "server" : "browser",
    };
  } catch {
    return base; // unreadable or forbidden storage: start anew
  }
}

const Context = createContext<SettingsValue | null>(null);

export function SettingsProvider({ children }: { children: ReactNode }) {
  const [settings, set] = useState<Settings>(() => {
    const loaded = load();
    setKey(loaded.key);
    return loaded;
  });
  useEffect(() => {
    document.documentElement.lang = settings.language;
    try {
      localStorage.setItem(NAME, JSON.stringify(settings));
    } catch {
      // a browser that forbids storage still works, without memory
    }
  }, [settings]);
  const change = useCallback((some: Partial<Settings>) => {
    if (some.key !== undefined) setKey(some.key);
    set((now) => ({ ...now, ...some }));
  }, []);
  const value = useMemo(() => ({ ...settings, change }), [settings, change]);
  return <Context value={value}>{children}</Context>;
}

export function useSettings(): SettingsValue {
  const value = useContext(Context);
  if (!value) throw new Error("useSettings outside of SettingsProvider");
  return value;
}
