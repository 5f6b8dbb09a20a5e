export default function Chat() {
  return <div className="panel-page">Chat</div>;
}
