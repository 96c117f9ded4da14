// The frame around every screen: the rail, the bar that appears while the connection is
// away, the status region, and what happens when a session ends.

import Head from 'next/head';
import Link from 'next/link';
import { useRouter } from 'next/router';
import { memo, useDeferredValue, useEffect, useState, useSyncExternalStore, type ReactNode } from 'react';
import { CircleUser, Coins, Images, LayoutGrid, Palette, Search, Shapes, Sparkles, WifiOff, type LucideIcon } from 'lucide-react';
import { onSessionEnded, signOut } from '../api/client';
import { useConnection, useSaid } from '../api/notices';
import { useMe } from '../api/queries';
import { useSession } from '../api/session';
import { words } from '../words';
import { classes, Button } from './basics';
import { BrandSwitch } from './brand-switch';
import { openPalette } from './palette';

const PLACES: { href: string; label: string; icon: LucideIcon; also?: string[] }[] = [
  { href: '/create', label: words.nav.create, icon: Sparkles },
  { href: '/gallery', label: words.nav.gallery, icon: Images, also: ['/image', '/compare', '/batch'] },
  { href: '/brands', label: words.nav.brands, icon: Palette, also: ['/brand'] },
  { href: '/assets', label: words.nav.assets, icon: Shapes },
  { href: '/credits', label: words.nav.credits, icon: Coins },
];

function RailLink({ href, label, icon: Icon, on, className }: { href: string; label: string; icon: LucideIcon; on: boolean; className?: string }) {
  return (
    <Link
      href={href}
      prefetch={false}
      aria-current={on ? 'page' : undefined}
      title={label}
      className={classes(
        'flex h-9 pointer-coarse:h-11 items-center gap-3 rounded-control px-2.5 text-text hover:bg-sunken max-sm:h-[63px]! max-sm:flex-1 max-sm:flex-col max-sm:justify-center max-sm:gap-1 max-sm:px-1 max-sm:text-caption',
        on && 'bg-sunken font-semibold max-sm:bg-transparent max-sm:text-accent',
        className,
      )}
    >
      <Icon size={18} aria-hidden className="shrink-0" strokeWidth={on ? 2.25 : 1.75} />
      <span className="sm:max-lg:sr-only">{label}</span>
    </Link>
  );
}

/** What is left to spend, and who one is. */
function Me({ settings }: { settings: boolean }) {
  const me = useMe();
  return (
    <div className="mt-auto flex flex-col gap-1 max-sm:hidden">
      <Link href="/credits" prefetch={false} className="flex flex-col rounded-control px-2.5 py-1.5 hover:bg-sunken sm:max-lg:items-center" title={words.frame.left}>
        <span className="numbers text-lead font-semibold">{me.data ? words.number(me.data.credits.available) : '–'}</span>
        <span className="text-caption text-muted sm:max-lg:sr-only">{me.data?.credits.held ? words.frame.leftHeld(me.data.credits.held) : words.frame.left}</span>
      </Link>
      <Link href="/settings" prefetch={false} aria-current={settings ? 'page' : undefined} title={words.nav.settings} className={classes('flex h-9 items-center gap-3 rounded-control px-2.5 hover:bg-sunken', settings && 'bg-sunken font-semibold')}>
        <CircleUser size={18} aria-hidden className="shrink-0" />
        <span className="truncate sm:max-lg:sr-only">{me.data?.email ?? words.nav.settings}</span>
      </Link>
    </div>
  );
}

/** It stays as it is while the screen beside it changes what it shows. */
const Rail = memo(function Rail() {
  const { pathname } = useRouter();
  return (
    <nav aria-label={words.nav.main} className="z-20 flex shrink-0 border-r bg-canvas max-sm:fixed max-sm:inset-x-0 max-sm:bottom-0 max-sm:border-t max-sm:border-r-0 max-sm:pb-[env(safe-area-inset-bottom)] sm:sticky sm:top-0 sm:h-dvh sm:w-16 sm:flex-col sm:gap-1 sm:px-3 sm:py-4 lg:w-56">
      <div className="mb-3 flex flex-col gap-1 max-sm:hidden">
        <Link href="/" prefetch={false} aria-current={pathname === '/' ? 'page' : undefined} className="flex h-9 items-center gap-3 rounded-control px-2.5 text-lead font-semibold tracking-[-0.02em] hover:bg-sunken">
          <LayoutGrid size={18} aria-hidden className="shrink-0 text-accent" />
          <span className="sm:max-lg:sr-only">{words.name}</span>
        </Link>
        <BrandSwitch />
        <button type="button" onClick={openPalette} title={words.frame.search} className="flex h-9 items-center gap-3 rounded-control px-2.5 text-muted hover:bg-sunken">
          <Search size={18} aria-hidden className="shrink-0" />
          <span className="flex-1 text-left sm:max-lg:sr-only">{words.frame.search}</span>
          <kbd className="text-caption max-lg:hidden">⌘K</kbd>
        </button>
      </div>
      {PLACES.map((place) => (
        <RailLink key={place.href} {...place} on={pathname === place.href || !!place.also?.includes(pathname)} />
      ))}
      <Me settings={pathname === '/settings'} />
    </nav>
  );
});

/** On a phone, what does not fit into the bar at the bottom: home, the brand, search, and the person. */
const TopBar = memo(function TopBar() {
  const icon = 'grid size-11 shrink-0 place-items-center rounded-control hover:bg-sunken';
  return (
    <header className="flex h-14 shrink-0 items-center gap-1 border-b px-1.5 sm:hidden">
      <Link href="/" prefetch={false} aria-label={words.nav.home} className={icon}>
        <LayoutGrid size={18} aria-hidden className="text-accent" />
      </Link>
      <div className="min-w-0 flex-1 [&>div]:h-11">
        <BrandSwitch />
      </div>
      <button type="button" onClick={openPalette} aria-label={words.frame.search} className={icon}>
        <Search size={18} aria-hidden />
      </button>
      <Link href="/settings" prefetch={false} aria-label={words.nav.settings} className={icon}>
        <CircleUser size={18} aria-hidden />
      </Link>
    </header>
  );
});

function useOnline() {
  return useSyncExternalStore(
    (changed) => {
      window.addEventListener('online', changed);
      window.addEventListener('offline', changed);
      return () => {
        window.removeEventListener('online', changed);
        window.removeEventListener('offline', changed);
      };
    },
    () => navigator.onLine,
    () => true,
  );
}

/** One thin bar while the connection is away. */
function ConnectionBar() {
  const online = useOnline();
  const connection = useConnection();
  const [away, setAway] = useState(false);
  useEffect(() => {
    if (connection === 'away') setAway(true);
    if (connection === 'open') setAway(false);
  }, [connection]);
  if (online && !away) return null;
  return (
    <section aria-label={words.connection.title} className="enter sticky top-0 z-30 flex items-center justify-center gap-2 border-b bg-raised px-4 py-1.5 text-table">
      <WifiOff size={14} aria-hidden className="text-warn" />
      {online ? words.connection.reconnecting : words.connection.offline}
    </section>
  );
}

function StatusRegion() {
  const said = useSaid();
  const online = useOnline();
  const connection = useConnection();
  return (
    <p role="status" aria-live="polite" className="sr-only">
      {!online ? words.connection.offline : connection === 'away' ? words.connection.reconnecting : said}
    </p>
  );
}

/** What a person sees whose session ended: the page stays behind it, with what was typed. */
function SessionEnded() {
  const [ended, setEnded] = useState(false);
  const session = useSession();
  useEffect(() => onSessionEnded(() => setEnded(true)), []);
  useEffect(() => setEnded(false), [session?.token]);
  if (!ended) return null;
  return (
    <div role="alertdialog" aria-label={words.frame.ended} className="enter fixed inset-x-4 top-4 z-50 mx-auto flex max-w-lg flex-wrap items-center justify-between gap-3 rounded-panel bg-raised px-4 py-3 shadow-float">
      <div>
        <p className="font-medium">{words.frame.ended}</p>
        <p className="text-muted">{words.frame.endedHint}</p>
      </div>
      <Button kind="primary" onClick={signOut}>
        {words.frame.signInAgain}
      </Button>
    </div>
  );
}

export function Frame({ title, children, flush }: { title: string; children?: ReactNode; flush?: boolean }) {
  const router = useRouter();
  const session = useSession();
  // Drawn in slices, like the screen in it.
  const known = useDeferredValue(session);
  useEffect(() => {
    if (session === null) void router.replace({ pathname: '/sign-in', query: router.asPath === '/' ? {} : { to: router.asPath } });
  }, [session, router]);
  return (
    <>
      <Head>
        <title>{title ? `${title} · ${words.name}` : words.name}</title>
      </Head>
      <a href="#main" className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-control focus:bg-raised focus:px-3 focus:py-2 focus:shadow-float">
        {words.skip}
      </a>
      <div className="flex min-h-dvh max-sm:flex-col max-sm:pb-16">
        {known ? <TopBar /> : <div className="h-14 shrink-0 sm:hidden" />}
        {known ? <Rail /> : <div className="sm:w-16 lg:w-56" />}
        <div className="flex min-w-0 flex-1 flex-col">
          <ConnectionBar />
          <main id="main" tabIndex={-1} className={classes('flex-1 outline-none', !flush && 'px-4 py-6 sm:px-8 sm:py-8')}>
            {children}
          </main>
        </div>
      </div>
      <StatusRegion />
      <SessionEnded />
    </>
  );
}
