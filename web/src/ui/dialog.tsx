import { useEffect, useRef, type ReactNode } from 'react';
import { X } from 'lucide-react';
import { classes, IconButton } from './basics';
import { words } from '../words';

/**
 * A modal dialog: the browser's own, which holds the focus, closes on Escape and gives the
 * focus back to what opened it.
 */
export function Dialog({ open, onClose, title, children, actions, wide }: { open: boolean; onClose: () => void; title: string; children: ReactNode; actions?: ReactNode; wide?: boolean }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const opener = useRef<Element | null>(null);
  useEffect(() => {
    const it = dialog.current;
    if (!it) return;
    if (open && !it.open) {
      opener.current = document.activeElement;
      it.showModal();
    } else if (!open && it.open) {
      it.close();
    }
  }, [open]);
  const closed = () => {
    if (opener.current instanceof HTMLElement && opener.current.isConnected) opener.current.focus();
    else document.getElementById('title')?.focus();
    onClose();
  };
  return (
    <dialog
      ref={dialog}
      aria-label={title}
      onClose={closed}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current.close();
      }}
      className={classes('m-auto w-full rounded-panel bg-raised p-0 text-text shadow-float max-sm:mb-0 max-sm:max-w-none', wide ? 'max-w-3xl' : 'max-w-md')}
    >
      {open && (
        <div className="flex max-h-[85dvh] flex-col">
          <div className="flex items-center justify-between gap-4 py-3 pr-3 pl-5">
            <h2 className="text-title font-semibold">{title}</h2>
            <IconButton icon={X} label={words.close} onClick={() => dialog.current?.close()} />
          </div>
          <div className="overflow-y-auto px-5 pb-5">{children}</div>
          {actions && <div className="flex flex-wrap justify-end gap-2 border-t px-5 py-3">{actions}</div>}
        </div>
      )}
    </dialog>
  );
}
