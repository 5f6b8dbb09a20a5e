// The page's icons: strokes in a square of 24, drawn for it. They are decoration; what carries one has a name in words.
const paths = {
  chat: "M4 5h16v11H9l-5 4z",
  live: "M3 13h4l2-7 4 13 3-9 1.5 3H21",
  candidates: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  models: "M12 3l8 4.5-8 4.5-8-4.5zM4 12l8 4.5 8-4.5M4 16.5l8 4.5 8-4.5",
  bench: "M5 20V11M12 20V4M19 20v-6",
  log: "M6 3h9l4 4v14H6zM9 12h7M9 16h7",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
  gear: "M12 8.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 0 0 0-7M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.1 2.1M16.3 16.3l2.1 2.1M5.6 18.4l2.1-2.1M16.3 7.7l2.1-2.1",
  send: "M12 20V5M5.5 11.5L12 5l6.5 6.5",
  stop: "M7 7h10v10H7z",
  plus: "M12 5v14M5 12h14",
  edit: "M4 20l1-4L16 5l3 3L8 19zM13.5 7.5l3 3",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  again: "M19 12a7 7 0 1 1-2-5M17 3v4.5h-4.5",
  left: "M14.5 6l-6 6 6 6",
  right: "M9.5 6l6 6-6 6",
  down: "M6 9.5l6 6 6-6",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  out: "M12 15V4M7.5 8.5L12 4l4.5 4.5M5 15v5h14v-5",
  in: "M12 4v11M7.5 10.5L12 15l4.5-4.5M5 15v5h14v-5",
  close: "M6 6l12 12M18 6L6 18",
  list: "M4 6h16M4 12h16M4 18h10",
  clip: "M19 11l-7.5 7.5a4.5 4.5 0 0 1-6.5-6.5l8-8a3 3 0 0 1 4.300 4.300l-8 8a1.5 1.5 0 0 1-2.100-2.100L14 7.5",
  check: "M5 12.5l4.5 4.5L19 7.5",
  tool: "M14 6a4.5 4.5 0 0 1 6-1l-3 3 .5 2 2 .5 3-3a4.5 4.5 0 0 1-6.5 5L8 20.5 3.5 16 11 8.5",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.8"
      strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
