// Keeps a panel that throws from taking the page with it.
import { Button, Code } from "@mantine/core";
import { Component, type ReactNode } from "react";
import { useText } from "./text";
import { words } from "./words";

export class Crash extends Component<{ children: ReactNode }, { why: unknown }> {
  override state: { why: unknown } = { why: null };
  static getDerivedStateFromError(why: unknown) {
    return { why };
  }
  override render() {
    if (this.state.why === null) return this.props.children;
    return <Fallen why={this.state.why} again={() => this.setState({ why: null })} />;
  }
}

function Fallen({ why, again }: { why: unknown; again: () => void }) {
  const t = useText(words);
  return (
    <div className="waiting" role="alert">
      <p>{t.crashed}</p>
      <p><Code>{why instanceof Error ? why.message : String(why)}</Code></p>
      <Button onClick={again}>{t.again}</Button>
    </div>
  );
}
