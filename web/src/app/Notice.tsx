// The line under the bar while the server does not answer or wants a key.
import { Button, PasswordInput } from "@mantine/core";
import { useState } from "react";
import { useServer } from "./server";
import { useSettings } from "./settings";
import { useText } from "./text";
import { words } from "./words";

export function Notice() {
  const t = useText(words);
  const { reach, ask } = useServer();
  const { change } = useSettings();
  const [key, setKey] = useState("");
  if (reach === "offline")
    return (
      <div className="notice" role="alert">
        <span>{t.offlineLong}</span>
        <Button size="compact-sm" variant="default" onClick={ask}>{t.tryNow}</Button>
      </div>
    );
  if (reach === "locked")
    return (
      <form className="notice" onSubmit={(e) => { e.preventDefault(); change({ key }); ask(); }}>
        <span>{t.lockedLong}</span>
        <PasswordInput size="xs" aria-label={t.key} value={key} onChange={(e) => setKey(e.target.value)} w={220} />
        <Button size="compact-sm" type="submit">{t.enter}</Button>
      </form>
    );
  return null;
}
