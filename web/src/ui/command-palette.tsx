// The palette: go to a screen, make something, or find an image.

import { useRouter } from 'next/router';
import { useEffect, useRef, useState } from 'react';
import { CornerDownLeft, Search } from 'lucide-react';
import { useGenerations } from '../api/lists';
import { useCurrentBrand } from '../current-brand';
import { words } from '../words';
import { imageWords } from '../words/image';
import { paletteWords } from '../words/palette';
import { classes } from './basics';

type Entry = { id: string; label: string; note?: string; run: () => void; picture?: string | null };

/** Found images that are shown (count). */
const FOUND_MOST = 6;

export default function CommandPalette({ onClose }: { onClose: () => void }) {
  const router = useRouter();
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const { brands, choose } = useCurrentBrand();
  const found = useGenerations({ q: text.trim().slice(0, 100), status: 'succeeded' }, text.trim().length > 1);
  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);

  const wanted = text.trim().toLowerCase();
  const go = (path: string) => () => void router.push(path);
  const all: Entry[] = [
    { id: 'create', label: paletteWords.create, run: go('/create') },
    { id: 'home', label: paletteWords.goTo(words.nav.home), note: 'g h', run: go('/') },
    { id: 'gallery', label: paletteWords.goTo(words.nav.gallery), note: 'g g', run: go('/gallery') },
    { id: 'favourites', label: paletteWords.favourites, run: go('/gallery?favourite=true') },
    { id: 'brands', label: paletteWords.goTo(words.nav.brands), note: 'g b', run: go('/brands') },
    { id: 'new-brand', label: paletteWords.newBrand, run: go('/brand') },
    { id: 'assets', label: paletteWords.goTo(words.nav.assets), note: 'g a', run: go('/assets') },
    { id: 'credits', label: paletteWords.goTo(words.nav.credits), note: 'g m', run: go('/credits') },
    { id: 'settings', label: paletteWords.goTo(words.nav.settings), note: 'g s', run: go('/settings') },
    { id: 'bin', label: paletteWords.bin, run: go('/gallery?binned=true') },
    ...(brands ?? []).map((brand) => ({ id: brand.id, label: paletteWords.workWith(brand.kit?.name ?? words.erased), run: () => choose(brand.id) })),
  ];
  const entries = [
    ...all.filter((entry) => entry.label.toLowerCase().includes(wanted)),
    ...(wanted.length > 1 ? (found.data?.pages[0]?.items ?? []) : []).slice(0, FOUND_MOST).map((image) => ({
      id: image.id,
      label: image.headline || image.product || imageWords.untitled,
      note: words.date(image.requested_at),
      picture: image.links.thumbnail,
      run: go(`/image?id=${image.id}`),
    })),
  ];
  const chosen = entries[Math.min(at, entries.length - 1)];
  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    dialog.current?.close();
    entry.run();
  };
  return (
    <dialog ref={dialog} onClose={onClose} aria-label={words.frame.search} onClick={(event) => event.target === dialog.current && dialog.current.close()} className="mx-auto mt-[12dvh] w-full max-w-xl rounded-panel bg-raised p-0 text-text shadow-float">
      <div className="flex items-center gap-3 border-b px-4">
        <Search size={18} aria-hidden className="text-muted" />
        <input
          autoFocus
          role="combobox"
          aria-expanded
          aria-controls="palette-list"
          aria-activedescendant={chosen && 'palette-' + chosen.id}
          aria-label={words.frame.search}
          placeholder={paletteWords.hint}
          value={text}
          maxLength={100}
          onChange={(event) => {
            setText(event.target.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            if (event.key === 'ArrowDown') setAt(Math.min(at + 1, entries.length - 1));
            else if (event.key === 'ArrowUp') setAt(Math.max(at - 1, 0));
            else if (event.key === 'Enter') run(chosen);
            else return;
            event.preventDefault();
          }}
          className="h-12 flex-1 bg-transparent text-lead outline-none"
        />
      </div>
      <ul id="palette-list" role="listbox" aria-label={words.frame.search} className="max-h-[50dvh] overflow-y-auto p-2">
        {entries.map((entry) => (
          <li
            key={entry.id}
            id={'palette-' + entry.id}
            role="option"
            aria-selected={entry === chosen}
            ref={(node) => {
              if (node && entry === chosen) node.scrollIntoView({ block: 'nearest' });
            }}
            onClick={() => run(entry)}
            className={classes('flex h-10 cursor-pointer items-center gap-3 rounded-control px-3 hover:bg-sunken', entry === chosen && 'bg-sunken')}
          >
            {'picture' in entry && entry.picture && <img src={entry.picture} alt="" className="size-7 rounded-control object-cover" />}
            <span className="flex-1 truncate">{entry.label}</span>
            {entry.note && <span className="text-caption text-muted">{entry.note}</span>}
            {entry === chosen && <CornerDownLeft size={14} aria-hidden className="text-muted" />}
          </li>
        ))}
        {entries.length === 0 && <li className="px-3 py-6 text-center text-muted">{paletteWords.nothing}</li>}
      </ul>
    </dialog>
  );
}
