// Which elements are near the view of the thread: one observer for all of them.
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode, type RefObject } from "react";

type Tell = (near: boolean) => void;

interface Watcher {
  watch: (element: Element, tell: Tell) => () => void;
}

const Context = createContext<Watcher | null>(null);

const AROUND = "1200px 0px"; // about a screen and a half on both sides

export function NearProvider({ box, children }: { box: RefObject<HTMLElement | null>; children: ReactNode }) {
  const watcher = useMemo<Watcher>(() => {
    const tells = new Map<Element, Tell>();
    let observer: IntersectionObserver | null = null;
    return {
      watch: (element, tell) => {
        observer ??= new IntersectionObserver(
          (entries) => {
            for (const e of entries) tells.get(e.target)?.(e.isIntersecting);
          },
          { root: box.current, rootMargin: AROUND },
        );
        tells.set(element, tell);
        observer.observe(element);
        return () => {
          tells.delete(element);
          observer?.unobserve(element);
        };
      },
    };
  }, [box]);
  return <Context value={watcher}>{children}</Context>;
}

export function useNear(place: RefObject<Element | null>, first: boolean): boolean {
  const [near, tell] = useState(first);
  const watcher = useContext(Context);
  useEffect(() => {
    if (!watcher || !place.current) return undefined;
    return watcher.watch(place.current, tell);
  }, [watcher, place]);
  return near;
}
