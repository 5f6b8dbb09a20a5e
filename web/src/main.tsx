import { createRoot } from "react-dom/client";
import { App } from "./app/App";

// The server's policy refuses every string that would be parsed as HTML (require-trusted-types-for). The component
// library's style sheets go through the same door; they are let in because text without "<" makes no element.
interface TrustedTypes {
  createPolicy: (name: string, rules: { createHTML: (text: string) => string | null }) => unknown;
}
const { trustedTypes } = window as unknown as { trustedTypes?: TrustedTypes };
trustedTypes?.createPolicy("default", { createHTML: (text) => (text.includes("<") ? null : text) });

createRoot(document.getElementById("root")!).render(<App />);
