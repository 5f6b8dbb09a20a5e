// Copies a text; says for a moment that it did.
import { ActionIcon } from "@mantine/core";
import { useState } from "react";
import { defineText, useText } from "../app/text";
import { Icon } from "./icons";

const words = defineText({ copy: "Copy", copied: "Copied" }, { copy: "コピー", copied: "コピーしました" });

// The clipboard is closed to pages that came over plain HTTP from another machine: there the old way.
async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function CopyButton({ text }: { text: string }) {
  const t = useText(words);
  const [done, setDone] = useState(false);
  const press = () =>
    copy(text).then(
      () => {
        setDone(true);
        setTimeout(() => setDone(false), 1500);
      },
      () => undefined, // forbidden by the person's browser: the button does not say that it copied
    );
  return (
    <ActionIcon variant="subtle" color="gray" size="md" aria-label={done ? t.copied : t.copy} title={t.copy} onClick={() => void press()}>
      <Icon name={done ? "check" : "copy"} size={16} />
    </ActionIcon>
  );
}
