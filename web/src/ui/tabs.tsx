import { useEffect, useRef } from 'react';
import { classes } from './basics';

/** One of a few views that stand in each other's place. Arrow keys go from one to the next. */
export function Tabs<T extends string>({ label, items, value, onChange, controls, natural, className }: { label: string; items: { id: T; name: string; note?: string }[]; value: T; onChange: (id: T) => void; /** The id of what they show. */ controls?: string; /** Each as wide as its name; those that do not fit are scrolled to. */ natural?: boolean; className?: string }) {
  const list = useRef<HTMLDivElement>(null);
  const go = (step: number) => {
    const at = items.findIndex((item) => item.id === value);
    const next = (at + step + items.length) % items.length;
    onChange(items[next]!.id);
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[next]?.focus();
  };
  useEffect(() => {
    const it = list.current;
    const tab = it?.querySelector<HTMLElement>('[aria-selected=true]');
    if (it && tab && it.scrollWidth > it.clientWidth) it.scrollLeft = tab.offsetLeft - (it.clientWidth - tab.offsetWidth) / 2;
  }, [value, items.length]);
  return (
    <div
      ref={list}
      role="tablist"
      aria-label={label}
      className={classes('relative flex gap-0.5 rounded-control bg-sunken p-0.5', natural && 'overflow-x-auto [scrollbar-width:none]', className)}
      onKeyDown={(event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        // These keys are this list's own here, not the page's.
        event.preventDefault();
        event.nativeEvent.stopPropagation();
        go(step);
      }}
    >
      {items.map((item) => (
        <button
          key={item.id}
          type="button"
          role="tab"
          aria-selected={item.id === value}
          aria-controls={item.id === value ? controls : undefined}
          tabIndex={item.id === value ? 0 : -1}
          title={item.note}
          onClick={() => onChange(item.id)}
          className={classes('h-8 rounded-[5px] px-3 whitespace-nowrap pointer-coarse:h-10', natural ? 'flex-none' : 'min-w-0 flex-1', item.id === value ? 'bg-raised font-medium shadow-[0_0_0_1px_var(--line)]' : 'text-muted hover:text-text')}
        >
          {item.name}
        </button>
      ))}
    </div>
  );
}
