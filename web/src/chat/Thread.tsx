// The messages of the path. All of them are in the document, so that the browser finds and reads them, but only those
// near the view are laid out as Markdown with their buttons: far ones are plain text whose layout the browser puts off
// (content-visibility). It stays at the newest message unless the person has scrolled up.
import { ActionIcon } from "@mantine/core";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { useText } from "../app/text";
import { Icon } from "../ui/icons";
import { MessageView } from "./MessageView";
import { NearProvider } from "./near";
import { store } from "./store";
import { childrenOf, type Chat, type Message, type ToolCall } from "./tree";
import { Results } from "./ToolCalls";
import { words } from "./words";

interface Props {
  chat: Chat;
  path: Message[];
  writing: string | null;
  model: string;
  open: ToolCall[]; // calls that wait for results
}

const AT_END = 80; // pixels from the end that still count as being there

export function Thread({ chat, path, writing, model, open }: Props) {
  const t = useText(words);
  const box = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const pinned = useRef(true);
  const [away, setAway] = useState(false);
  const children = useMemo(() => childrenOf(chat), [chat]);

  const toEnd = useCallback(() => {
    const b = box.current;
    if (b) b.scrollTop = b.scrollHeight;
  }, []);
  useLayoutEffect(toEnd, [toEnd]);
  // A message that is sent is looked at, wherever the person was.
  useLayoutEffect(() => {
    if (!writing) return;
    pinned.current = true;
    toEnd();
  }, [writing, toEnd]);
  useEffect(() => {
    const follow = new ResizeObserver(() => pinned.current && toEnd());
    follow.observe(inner.current!);
    follow.observe(box.current!);
    return () => follow.disconnect();
  }, [toEnd]);

  const scrolled = () => {
    const b = box.current!;
    pinned.current = b.scrollHeight - b.scrollTop - b.clientHeight < AT_END;
    setAway(!pinned.current);
  };
  const last = path[path.length - 1];

  return (
    <div className="thread-frame">
      <div className="thread" ref={box} onScroll={scrolled} tabIndex={0} role="region" aria-label={chat.title || t.untitled}>
        <div className="thread-inner" ref={inner}>
          {path.length === 0 && <Hello />}
          <NearProvider box={box}>
            {path.map((m, i) =>
              m.id === writing ? (
                <Writing key={m.id} fallback={m} model={model} />
              ) : (
                <MessageView key={m.id} m={m} siblings={children.get(m.parent ?? "")!} model={model} busy={writing !== null}
                  first={i >= path.length - 4} call={m.callId === undefined ? undefined : callName(path, i)} />
              ),
            )}
          </NearProvider>
          {open.length > 0 && last && (
            <Results key={last.id} calls={open} onSend={(results) => store.sendResults(model, last.id, results)} />
          )}
        </div>
      </div>
      {away && (
        <ActionIcon className="to-end" variant="default" size="lg" radius="xl" aria-label={t.newest} title={t.newest}
          onClick={() => { pinned.current = true; toEnd(); }}>
          <Icon name="down" />
        </ActionIcon>
      )}
      <div className="visually-hidden" role="status">{writing ? t.answering : last?.role === "assistant" ? t.answered : ""}</div>
    </div>
  );
}

// The name of the function that the tool's message at i answers.
function callName(path: Message[], i: number): string {
  for (let at = i - 1; at >= 0; at--)
    if (path[at]!.role === "assistant") return path[at]!.calls?.find((c) => c.id === path[i]!.callId)?.name ?? "";
  return "";
}

const none: string[] = [];

function Writing({ fallback, model }: { fallback: Message; model: string }) {
  const m = useSyncExternalStore(store.live.subscribe, store.live.get) ?? fallback;
  return <MessageView m={m} siblings={none} model={model} busy first writing />;
}

function Hello() {
  const t = useText(words);
  return (
    <div className="hello">
      <img src="./icon.svg" alt="" />
      <h2>{t.hello}</h2>
      <p>{t.helloMore}</p>
    </div>
  );
}
