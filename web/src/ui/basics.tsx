// The small parts that every screen is made of.

import Link from 'next/link';
import { useId, type ButtonHTMLAttributes, type ComponentProps, type ReactNode } from 'react';
import { AlertTriangle, Check, CircleX, Info, LoaderCircle, type LucideIcon } from 'lucide-react';
import { words } from '../words';

export function classes(...parts: (string | false | null | undefined)[]): string {
  return parts.filter(Boolean).join(' ');
}

const CONTROL =
  'inline-flex h-9 pointer-coarse:h-11 items-center justify-center gap-2 rounded-control px-3 font-medium whitespace-nowrap aria-disabled:opacity-50 aria-disabled:cursor-not-allowed';

const KINDS = {
  primary: 'bg-accent text-accent-text not-aria-disabled:hover:bg-accent-hover',
  plain: 'border border-edge bg-surface text-text not-aria-disabled:hover:bg-sunken',
  quiet: 'text-text not-aria-disabled:hover:bg-sunken',
  bad: 'border border-bad text-bad bg-surface not-aria-disabled:hover:bg-sunken',
};

export type ButtonKind = keyof typeof KINDS;

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement>;

/**
 * A button that cannot be pressed for now. It is not `disabled`: the browser would take the
 * focus from it, and who works by keys would be back at the top of the page.
 */
function unpressable(off: boolean | undefined, onClick: ButtonProps['onClick']): Pick<ButtonProps, 'aria-disabled' | 'onClick'> {
  return off ? { 'aria-disabled': true, onClick: (event) => event.preventDefault() } : { onClick };
}

export function Button({ kind = 'plain', busy, icon: Icon, className, children, disabled, onClick, ...rest }: ButtonProps & { kind?: ButtonKind; busy?: boolean; icon?: LucideIcon }) {
  return (
    <button type="button" aria-busy={busy || undefined} className={classes(CONTROL, KINDS[kind], className)} {...unpressable(disabled || busy, onClick)} {...rest}>
      {busy ? <LoaderCircle size={16} className="animate-spin motion-reduce:animate-none" aria-hidden /> : Icon && <Icon size={16} aria-hidden />}
      {children}
    </button>
  );
}

export function ButtonLink({ kind = 'plain', icon: Icon, className, children, ...rest }: ComponentProps<typeof Link> & { kind?: ButtonKind; icon?: LucideIcon }) {
  return (
    <Link className={classes(CONTROL, KINDS[kind], className)} {...rest}>
      {Icon && <Icon size={16} aria-hidden />}
      {children}
    </Link>
  );
}

/** A button that shows only an icon; its name is said and shown on hover. */
export function IconButton({ label, icon: Icon, pressed, className, disabled, onClick, ...rest }: ButtonProps & { label: string; icon: LucideIcon; pressed?: boolean }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      className={classes('inline-flex size-9 pointer-coarse:size-11 shrink-0 items-center justify-center rounded-control text-text not-aria-disabled:hover:bg-sunken aria-disabled:cursor-not-allowed aria-disabled:opacity-50', className)}
      {...unpressable(disabled, onClick)}
      {...rest}
    >
      <Icon size={18} aria-hidden fill={pressed ? 'currentColor' : 'none'} />
    </button>
  );
}

type FieldProps = {
  label: string;
  /** The control's id, where something else has to find it. */
  name?: string;
  hint?: string;
  error?: string;
  /** Characters that are allowed, counted as one types. */
  most?: number;
  length?: number;
  optional?: boolean;
  children: (field: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean | undefined }) => ReactNode;
};

/** A control with its label, hint, count and error. */
export function Field({ label, name, hint, error, most, length = 0, optional, children }: FieldProps) {
  const made = useId();
  const id = name ?? made;
  const near = most !== undefined && length > most * 0.8;
  const over = most !== undefined && length > most;
  const described = [hint && id + 'hint', error && id + 'error', near && id + 'count'].filter(Boolean).join(' ') || undefined;
  return (
    <div className="flex flex-col gap-1">
      <div className="flex items-baseline justify-between gap-2">
        <label htmlFor={id} className="font-medium">
          {label}
          {optional && <span className="ml-1 font-normal text-muted">{words.optional}</span>}
        </label>
        {near && (
          <span id={id + 'count'} className={classes('numbers text-caption', over ? 'text-bad' : 'text-muted')}>
            {words.ofMost(length, most)}
          </span>
        )}
      </div>
      {children({ id, 'aria-describedby': described, 'aria-invalid': error || over ? true : undefined })}
      {hint && (
        <p id={id + 'hint'} className="text-caption text-muted">
          {hint}
        </p>
      )}
      {error && (
        <p id={id + 'error'} className="flex items-center gap-1 text-caption text-bad">
          <CircleX size={14} aria-hidden className="shrink-0" />
          {error}
        </p>
      )}
    </div>
  );
}

const INPUT = 'w-full rounded-control border bg-surface px-3 text-text aria-invalid:border-bad border-edge hover:border-text disabled:opacity-60';

export function Input({ className, ...rest }: ComponentProps<'input'>) {
  return <input className={classes(INPUT, 'h-9 pointer-coarse:h-11', className)} {...rest} />;
}

export function TextArea({ className, ...rest }: ComponentProps<'textarea'>) {
  return <textarea rows={3} className={classes(INPUT, 'field-sizing-content min-h-18 max-h-80 resize-y py-2', className)} {...rest} />;
}

export function Select({ className, children, ...rest }: ComponentProps<'select'>) {
  return (
    <select className={classes(INPUT, 'h-9 pointer-coarse:h-11 pr-8', className)} {...rest}>
      {children}
    </select>
  );
}

/** Words by themselves in a line of their own: a state, said by icon and words. */
export function Notice({ kind = 'info', title, children, action }: { kind?: 'info' | 'good' | 'warn' | 'bad'; title?: string; children?: ReactNode; action?: ReactNode }) {
  const Icon = { info: Info, good: Check, warn: AlertTriangle, bad: CircleX }[kind];
  const tint = { info: 'text-accent', good: 'text-good', warn: 'text-warn', bad: 'text-bad' }[kind];
  return (
    <div className={classes('flex gap-3 rounded-panel border bg-surface px-4 py-3', children ? 'items-start max-sm:flex-wrap' : 'items-center')} role={kind === 'bad' ? 'alert' : undefined}>
      <Icon size={18} aria-hidden className={classes('mt-px shrink-0', tint)} />
      <div className={classes('min-w-0 flex-1', !!children && 'max-sm:basis-[80%]')}>
        {title && <p className="font-medium">{title}</p>}
        {children && <div className="text-muted">{children}</div>}
      </div>
      {action}
    </div>
  );
}

/** What a screen shows where it has nothing to show: what it is for, and the one way on. */
export function Empty({ title, children, action, page }: { title: string; children?: ReactNode; action?: ReactNode; /** It is the whole screen: its title is the h1. */ page?: boolean }) {
  const Title = page ? 'h1' : 'h2';
  return (
    <div className="enter flex flex-col items-center gap-3 px-4 py-16 text-center">
      <Title className="text-title font-semibold" {...(page ? { id: 'title', tabIndex: -1 } : {})}>
        {title}
      </Title>
      {children && <div className="max-w-[52ch] text-balance text-muted">{children}</div>}
      {action && <div className="mt-1 flex flex-wrap justify-center gap-2">{action}</div>}
    </div>
  );
}

export function Skeleton({ className, ratio }: { className?: string; ratio?: number }) {
  return <div aria-hidden className={classes('shimmer rounded-image bg-sunken', className)} style={ratio ? { aspectRatio: ratio } : undefined} />;
}

/** The head of a screen: its one h1, and what can be done. */
export function PageHead({ title, children, note }: { title: string; children?: ReactNode; note?: ReactNode }) {
  return (
    <header className="flex flex-wrap items-end justify-between gap-x-6 gap-y-3">
      <div className="min-w-0">
        <h1 className="text-display font-semibold" tabIndex={-1} id="title">
          {title}
        </h1>
        {note && <div className="mt-1 text-muted">{note}</div>}
      </div>
      {children && <div className="flex flex-wrap items-center gap-2">{children}</div>}
    </header>
  );
}

/** A choice that is on or off, as a chip. */
export function Chip({ on, children, className, ...rest }: ButtonHTMLAttributes<HTMLButtonElement> & { on?: boolean }) {
  return (
    <button
      type="button"
      aria-pressed={on}
      className={classes(
        'inline-flex h-8 pointer-coarse:h-11 items-center gap-1.5 rounded-full border px-3 text-table whitespace-nowrap',
        on ? 'border-accent bg-accent-soft font-medium text-text' : 'border-edge bg-surface text-text enabled:hover:bg-sunken',
        className,
      )}
      {...rest}
    >
      {on && <Check size={14} aria-hidden />}
      {children}
    </button>
  );
}
