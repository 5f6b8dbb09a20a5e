// The build: out/ holds plain files named after their content; pack.mjs makes dist/ of them, which is committed and
// goes into the program (cmake/embed.cmake).
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Libraries change seldom: apart from the page's own code they keep their names, so that browsers (and the history
// of dist/) hold them once.
const groups = [
  { name: "react", test: /node_modules\/(react|react-dom|scheduler)\// },
  { name: "mantine", test: /node_modules\/(@mantine|@floating-ui|clsx|react-remove-scroll|react-number-format|tabbable)/ },
];

// The server's routes, for `npm run dev` beside an `irori serve` on its usual port.
const server = process.env["IRORI_URL"] ?? "http://127.0.0.1:11434";
const routes = ["/v1", "/api", "/metrics", "/health", "/slots", "/props", "/tokenize"];

export default defineConfig({
  base: "./",
  plugins: [react()],
  html: { cspNonce: "{{nonce}}" },
  build: {
    outDir: "out",
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    license: { fileName: "licences.md" },
    rolldownOptions: { output: { codeSplitting: { groups } } },
  },
  server: { proxy: Object.fromEntries(routes.map((path) => [path, server])) },
});
