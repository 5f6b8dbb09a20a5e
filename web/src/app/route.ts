// Where the page is: #/<panel>/<rest>. The server never sees it.
import { useSyncExternalStore } from "react";
import { panels, type PanelId } from "./panels";

function subscribe(changed: () => void): () => void {
  window.addEventListener("hashchange", changed);
  return () => window.removeEventListener("hashchange", changed);
}

export function useRoute(): { panel: PanelId; rest: string } {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  const [, id = "", rest = ""] = /^#\/([^/]*)\/?(.*)$/.exec(hash) ?? [];
  const panel = panels.find((p) => p.id === id) ?? panels[0]!;
  return { panel: panel.id, rest: panel.id === id ? rest : "" };
}

export function addressOf(panel: PanelId, rest = ""): string {
  return `#/${panel}${rest ? `/${rest}` : ""}`;
}

// replace: the place before is not one to come back to.
export function go(panel: PanelId, rest = "", replace = false): void {
  const to = addressOf(panel, rest);
  if (to === location.hash) return;
  if (!replace) {
    location.hash = to;
    return;
  }
  history.replaceState(null, "", to);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}
