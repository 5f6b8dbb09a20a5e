// The frame around every panel: navigation, how the server is, settings.
import "@mantine/core/styles.css";
import "./theme.css";
import "./app.css";
import { MantineProvider } from "@mantine/core";
import { setNonce } from "get-nonce";
import { Suspense, useEffect, useRef } from "react";
import { Icon } from "../ui/icons";
import { Crash } from "./Crash";
import { Notice } from "./Notice";
import { panelNames, panels } from "./panels";
import { addressOf, useRoute } from "./route";
import { ServerProvider, useServer } from "./server";
import { SettingsMenu } from "./SettingsMenu";
import { SettingsProvider } from "./settings";
import { useText } from "./text";
import { theme } from "./theme";
import { words } from "./words";

// The server lets only style elements with this answer's nonce in (apps/irori/server/page.c).
const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";
setNonce(nonce);

export function App() {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <SettingsProvider>
        <ServerProvider>
          <Frame />
        </ServerProvider>
      </SettingsProvider>
    </MantineProvider>
  );
}

function Frame() {
  const t = useText(words);
  const names = useText(panelNames);
  const { panel, rest } = useRoute();
  const main = useRef<HTMLElement>(null);
  const View = panels.find((p) => p.id === panel)!.view;

  useEffect(() => {
    document.title = `${names[panel]} · irori`;
  }, [names, panel]);

  return (
    <div className="app">
      <a className="skip" href={addressOf(panel, rest)} onClick={(e) => { e.preventDefault(); main.current?.focus(); }}>
        {t.skip}
      </a>
      <header className="bar">
        <a className="brand" href={addressOf("chat")}><img src="./icon.svg" alt="" />irori</a>
        <nav className="tabs" aria-label={t.panels}>
          {panels.map((p) => (
            <a key={p.id} className="tab" href={addressOf(p.id, p.id === panel ? rest : "")} aria-current={p.id === panel ? "page" : undefined}>
              <Icon name={p.icon} />
              {names[p.id]}
            </a>
          ))}
        </nav>
        <div className="tools">
          <ServerState />
          <SettingsMenu />
        </div>
      </header>
      <Notice />
      <main className="panel" ref={main} tabIndex={-1} aria-label={names[panel]}>
        <Crash key={panel}>
          <Suspense fallback={<div className="waiting">{t.loading}</div>}>
            <View rest={rest} />
          </Suspense>
        </Crash>
      </main>
    </div>
  );
}

function ServerState() {
  const t = useText(words);
  const { reach, model } = useServer();
  return (
    <div className="reach" data-reach={reach} role="status">
      <i />
      <span>{reach === "online" ? model : t[reach]}</span>
    </div>
  );
}
