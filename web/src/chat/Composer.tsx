// Where a message is written. Enter sends, but not while an input method is composing.
import { ActionIcon, Textarea } from "@mantine/core";
import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { getProps } from "../api/models";
import { useServer } from "../app/server";
import { useText } from "../app/text";
import { Icon } from "../ui/icons";
import type { Attachment } from "./tree";
import { words } from "./words";

const MOST_BYTES = 1 << 20;

interface Props {
  chatId: string;
  writing: boolean;
  disabled: boolean;
  onSend: (text: string, files: Attachment[]) => void;
  onStop: () => void;
}

const drafts = new Map<string, string>(); // what is not sent yet, by chat, while the page is open

function readImage(file: File): Promise<string> {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result));
    reader.onerror = () => fail(reader.error ?? new Error(file.name));
    reader.readAsDataURL(file);
  });
}

// Whether the model takes images; only asked when a person brings one.
const takesImages = (model: string) => getProps(model).then((p) => p.modalities.vision, () => false);

export function Composer({ chatId, writing, disabled, onSend, onStop }: Props) {
  const t = useText(words);
  const { model } = useServer();
  const [text, setText] = useState(drafts.get(chatId) ?? "");
  const [files, setFiles] = useState<Attachment[]>([]);
  const [told, setTold] = useState("");
  const picker = useRef<HTMLInputElement>(null);
  const area = useRef<HTMLTextAreaElement>(null);

  useEffect(() => void drafts.set(chatId, text), [chatId, text]);
  useEffect(() => {
    if (!writing) return undefined;
    const escape = (e: globalThis.KeyboardEvent) => {
      if (e.key === "Escape" && !e.defaultPrevented) onStop();
    };
    document.addEventListener("keydown", escape);
    return () => document.removeEventListener("keydown", escape);
  }, [writing, onStop]);

  const ready = !writing && !disabled && (text.trim() !== "" || files.length > 0);
  const send = () => {
    if (!ready) return;
    onSend(text.trim(), files);
    setText("");
    setFiles([]);
    setTold("");
    area.current?.focus();
  };
  const pressed = (e: KeyboardEvent) => {
    if (e.key !== "Enter" || e.shiftKey || e.nativeEvent.isComposing || e.keyCode === 229) return;
    e.preventDefault();
    send();
  };

  const attach = async (list: Iterable<File>) => {
    setTold("");
    for (const file of list) {
      if (file.size > MOST_BYTES) {
        setTold(t.tooLarge(file.name));
      } else if (file.type.startsWith("image/") && (await takesImages(model))) {
        const data = await readImage(file);
        setFiles((old) => [...old, { name: file.name, kind: "image", data }]);
      } else {
        const data = await file.text();
        if (data.includes("\0") || data.includes("\ufffd")) setTold(t.notText(file.name));
        else setFiles((old) => [...old, { name: file.name, kind: "text", data }]);
      }
    }
  };

  return (
    <form className="composer" onSubmit={(e) => { e.preventDefault(); send(); }}
      onDragOver={(e) => e.preventDefault()} onDrop={(e) => { e.preventDefault(); void attach(e.dataTransfer.files); }}>
      {files.length > 0 && (
        <ul className="files">
          {files.map((f, i) => (
            <li key={i} className="file">
              {f.name}
              <ActionIcon size="sm" variant="subtle" color="gray" aria-label={t.detach(f.name)} onClick={() => setFiles((old) => old.filter((_, k) => k !== i))}>
                <Icon name="close" size={14} />
              </ActionIcon>
            </li>
          ))}
        </ul>
      )}
      <div className="composer-row">
        <ActionIcon variant="subtle" color="gray" size={40} aria-label={t.attach} title={t.attach} onClick={() => picker.current?.click()}>
          <Icon name="clip" />
        </ActionIcon>
        <input ref={picker} type="file" multiple hidden aria-label={t.attach}
          onChange={(e) => { void attach([...(e.target.files ?? [])]); e.target.value = ""; }} />
        <Textarea ref={area} className="composer-text" variant="unstyled" autosize minRows={1} maxRows={12} aria-label={t.message} placeholder={t.placeholder}
          value={text} autoFocus onChange={(e) => setText(e.target.value)} onKeyDown={pressed} />
        {writing ? (
          <ActionIcon size={40} radius="xl" variant="filled" aria-label={t.stop} title={`${t.stop} (Esc)`} onClick={onStop}><Icon name="stop" /></ActionIcon>
        ) : (
          <ActionIcon size={40} radius="xl" variant="filled" type="submit" aria-label={t.send} title={t.send} disabled={!ready}><Icon name="send" /></ActionIcon>
        )}
      </div>
      <p className={told ? "hint" : "hint usual"} role="status">{told || t.hint}</p>
    </form>
  );
}
