// Code with its language, colours and a button to copy it.
import { memo, useMemo } from "react";
import { CopyButton } from "./CopyButton";
import { highlight } from "./highlight";

const MOST_COLOURED = 20_000;

export const CodeBlock = memo(({ code, language }: { code: string; language: string }) => {
  const name = language.split(/\s/, 1)[0]!.slice(0, 30);
  const parts = useMemo(() => (code.length <= MOST_COLOURED ? highlight(code, name) : [{ kind: "", text: code }]), [code, name]);
  return (
    <figure className="code">
      <figcaption>
        <span>{name}</span>
        <CopyButton text={code} />
      </figcaption>
      <pre tabIndex={0}>
        <code>{parts.map((p, i) => (p.kind ? <span key={i} className={`c-${p.kind}`}>{p.text}</span> : p.text))}</code>
      </pre>
    </figure>
  );
});
