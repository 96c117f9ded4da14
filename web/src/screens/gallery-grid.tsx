// The gallery's pictures: justified rows, of which only those near the window are in the
// document. Loaded with the gallery alone.

import { memo, useEffect, useLayoutEffect, useMemo, useRef, useState, type RefObject } from 'react';
import { defaultRangeExtractor, useWindowVirtualizer } from '@tanstack/react-virtual';
import { Check, Heart } from 'lucide-react';
import type { Schemas } from '../api/client';
import { useKeys } from '../keyboard';
import { Picture, ratioOf } from '../ui/advert';
import { classes } from '../ui/basics';
import { words } from '../words';
import { galleryWords } from '../words/gallery';
import { imageWords } from '../words/image';
import { justify, moved } from './justified';

type Image = Schemas['GenerationSummary'];

const GAP = 8;

/** Rows beyond the window that are kept ready (count). */
const OVERSCAN = 2;

/** Rows before the end at which the next page is asked for (count). */
const AHEAD = 6;

function rowHeight(width: number): number {
  return width < 640 ? 170 : width < 1200 ? 230 : 270;
}

type Props = {
  images: Image[];
  placements: Map<string, Schemas['Placement']>;
  selected: ReadonlySet<string>;
  onSelect: (id: string, on: boolean, range: boolean) => void;
  onFavour: (image: Image) => void;
  onOpen: (image: Image) => void;
  onEscape: () => void;
  onNearEnd: () => void;
};

/**
 * One picture. It is drawn again only when something of its own has changed: while one
 * scrolls, a row at a time comes in and the others are left alone. What it calls is read
 * from `grid` when it is pressed. A plain link, as the grid opens and fetches ahead itself.
 */
const Tile = memo(function Tile({ image, index, name, x, y, width, height, on, current, grid, onFocus }: { image: Image; index: number; name: string; x: number; y: number; width: number; height: number; on: boolean; current: boolean; grid: RefObject<Props>; onFocus: (index: number) => void }) {
  // The day is put into words when it is looked at: the first one takes a phone more than the whole row.
  const [seen, setSeen] = useState(false);
  const see = () => setSeen(true);
  return (
    <div role="listitem" onPointerEnter={see} onFocus={see} className="group absolute" style={{ top: 0, left: 0, transform: `translate(${x}px, ${y}px)`, width, height }}>
      <a
        href={`/image?id=${image.id}`}
        data-index={index}
        tabIndex={current ? 0 : -1}
        onFocus={() => onFocus(index)}
        onClick={(event) => {
          event.preventDefault();
          if (event.metaKey || event.ctrlKey) grid.current.onSelect(image.id, !on, false);
          else if (grid.current.selected.size === 0) grid.current.onOpen(image);
          else grid.current.onSelect(image.id, !on, event.shiftKey);
        }}
        className="block h-full overflow-hidden rounded-image"
      >
        <Picture src={image.links.thumbnail} alt={imageWords.alt(image, name)} eager />
        <span className="pointer-events-none absolute inset-x-0 bottom-0 flex justify-between gap-2 rounded-b-image bg-[linear-gradient(to_top,#000c,#0000)] px-2.5 pt-8 pb-2 text-caption text-[#fff] opacity-0 transition-opacity duration-120 group-focus-within:opacity-100 group-hover:opacity-100">
          <span className="truncate">{name}</span>
          {seen && <span className="shrink-0">{words.day(image.requested_at)}</span>}
        </span>
        {on && <span aria-hidden className="pointer-events-none absolute inset-0 rounded-image border-3 border-accent" />}
      </a>
      <button
        type="button"
        tabIndex={-1}
        aria-pressed={on}
        aria-label={galleryWords.select(name, image.number)}
        onClick={(event) => grid.current.onSelect(image.id, !on, event.shiftKey)}
        className={classes('absolute top-2 left-2 grid size-7 place-items-center rounded-full border-2 border-[#fff] text-[#fff] transition-opacity duration-120', on ? 'bg-accent text-accent-text' : 'bg-[#0008] opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 pointer-coarse:opacity-100')}
      >
        {on && <Check size={16} aria-hidden />}
      </button>
      <button
        type="button"
        tabIndex={-1}
        aria-pressed={image.favourite}
        aria-label={image.favourite ? imageWords.unfavour : imageWords.favour}
        onClick={() => grid.current.onFavour(image)}
        className={classes('absolute top-2 right-2 grid size-7 place-items-center rounded-full bg-[#0008] text-[#fff] transition-opacity duration-120', image.favourite ? '' : 'opacity-0 group-focus-within:opacity-100 group-hover:opacity-100')}
      >
        <Heart size={15} aria-hidden fill={image.favourite ? 'currentColor' : 'none'} />
      </button>
    </div>
  );
});

export default function GalleryGrid(p: Props) {
  const grid = useRef(p);
  grid.current = p;
  const box = useRef<HTMLDivElement>(null);
  const [{ width, top }, setPlace] = useState({ width: 0, top: 0 });
  const [at, setAt] = useState(0);
  const focused = useRef(false);
  useLayoutEffect(() => {
    const it = box.current;
    if (!it) return;
    const measure = () => setPlace({ width: Math.floor(it.clientWidth), top: it.offsetTop });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(it);
    observer.observe(document.body);
    return () => observer.disconnect();
  }, []);

  const ratios = useMemo(() => p.images.map((image) => (image.image ? image.image.width / image.image.height : ratioOf(p.placements.get(image.placement) ?? { width: 1, height: 1 }))), [p.images, p.placements]);
  const { rows } = useMemo(() => justify(ratios, width, rowHeight(width), GAP), [ratios, width]);
  // The focused tile's row stays in the document however far one scrolls, and the focus with it.
  const inside = box.current?.contains(document.activeElement) ?? false;
  const current = Math.min(at, Math.max(0, p.images.length - 1));
  const kept = inside ? rows.findIndex((row) => current >= row.from && current < row.to) : -1;
  const virtual = useWindowVirtualizer({
    count: width ? rows.length : 0,
    rangeExtractor: (range) => {
      const indexes = defaultRangeExtractor(range);
      return kept < 0 || indexes.includes(kept) ? indexes : [...indexes, kept].sort((a, b) => a - b);
    },
    estimateSize: (index) => (rows[index]?.height ?? 0) + GAP,
    overscan: OVERSCAN,
    scrollMargin: top,
    getItemKey: (index) => p.images[rows[index]?.from ?? 0]?.id ?? index,
  });
  useEffect(() => virtual.measure(), [rows, virtual]);
  const shown = virtual.getVirtualItems();
  const lastShown = virtual.range?.endIndex ?? 0;
  useEffect(() => {
    if (rows.length && lastShown >= rows.length - AHEAD) grid.current.onNearEnd();
  }, [lastShown, rows.length]);

  const focus = (index: number) => {
    const tile = box.current?.querySelector<HTMLElement>(`[data-index="${index}"]`);
    tile?.focus({ preventScroll: true });
    return !!tile;
  };
  const go = (next: number) => {
    setAt(next);
    virtual.scrollToIndex(rows.findIndex((row) => next >= row.from && next < row.to), { align: 'auto' });
    focused.current = !focus(next);
  };
  // The tile may come into the document only after the scroll; and where a focused one went
  // (into the bin), the one in its place has the focus.
  useLayoutEffect(() => {
    if (focused.current || (inside && document.activeElement === document.body)) focused.current = !focus(current);
  });
  useKeys((event) => {
    const image = p.images[current];
    const inside = box.current?.contains(document.activeElement) ?? false;
    const idle = document.activeElement === document.body || document.activeElement?.id === 'title' || document.activeElement?.id === 'main';
    if (event.key === 'Escape') return p.onEscape();
    if (!image || (!inside && !idle)) return;
    if (event.key.startsWith('Arrow') || event.key === 'Home' || event.key === 'End') go(inside ? moved(rows, ratios, current, event.key) : current);
    else if (inside && event.key === ' ') p.onSelect(image.id, !p.selected.has(image.id), event.shiftKey);
    else if (inside && event.key === 'f') p.onFavour(image);
    else return;
    event.preventDefault();
  });

  return (
    <div ref={box} role="list" aria-label={galleryWords.title} className="relative" style={{ height: virtual.getTotalSize() }}>
      {/* One list, not a list of rows: a tile stays the same element whichever row it is in. */}
      {shown.flatMap((item) => {
        const row = rows[item.index];
        if (!row) return [];
        let left = 0;
        return p.images.slice(row.from, row.to).map((image, offset) => {
          const index = row.from + offset;
          const wide = ratios[index]! * row.height;
          const x = left;
          left += wide + GAP;
          const name = p.placements.get(image.placement)?.name ?? image.placement;
          return <Tile key={image.id} image={image} index={index} name={name} x={x} y={item.start - top} width={wide} height={row.height} on={p.selected.has(image.id)} current={index === current} grid={grid} onFocus={setAt} />;
        });
      })}
    </div>
  );
}
