// A formula as MathML, which browsers draw themselves; the translator is loaded with the first formula.
import { useEffect, useRef } from "react";

type Temml = { render: (tex: string, into: HTMLElement, o: object) => void };
let temml: Temml | null = null;
const loading = () => import("./temml").then((m) => (temml = m.default as unknown as Temml));

export function Maths({ tex, display }: { tex: string; display: boolean }) {
  const place = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let current = true;
    const draw = (t: Temml) => {
      if (!current || !place.current) return;
      try {
        t.render(tex, place.current, { displayMode: display, throwOnError: true, trust: false, maxExpand: 200, maxSize: [20, 20] });
      } catch {
        place.current.textContent = tex; // not a formula, or not one that it knows
      }
    };
    if (temml) draw(temml);
    else loading().then(draw, () => undefined); // without it the source stays
    return () => {
      current = false;
    };
  }, [tex, display]);
  return <span ref={place} className={display ? "maths display" : "maths"} tabIndex={display ? 0 : undefined}>{tex}</span>;
}
