import '../styles.css';
import type { AppProps } from 'next/app';
import Head from 'next/head';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { useDeferredValue, useEffect, useRef, useState } from 'react';
import { ApiError, forgetSeen } from '../api/client';
import { accountOf, useSession } from '../api/session';
import { GO } from '../keyboard';
import { Frame } from '../ui/frame';
import { Palette } from '../ui/palette';

function newQueries(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // The stream says what has changed; this is for what it cannot know.
        staleTime: 60_000,
        networkMode: 'always',
        refetchOnWindowFocus: false,
        refetchOnReconnect: true,
        retry: (count, error) => count < 2 && error instanceof ApiError && error.passing,
      },
    },
  });
}

/** Screens that are shown to whoever comes. All others read what is somebody's. */
const PUBLIC = ['/sign-in', '/404', '/_error', '/style'];

/** How long the script of a screen may take to come, milliseconds; then the screen is loaded as a page. */
const COMES_WITHIN = 8_000;

/**
 * Arrives in any case. Next's loader gives a prefetch 3.8 s and then forgets it without a
 * word to those who wait for it (withFuture in next/dist/client/route-loader.js), so that on
 * a slow machine a click that came meanwhile would lead nowhere, for ever.
 */
function useArrival(events: AppProps['router']['events']) {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const started = (path: string) => {
      clearTimeout(timer);
      timer = setTimeout(() => location.assign(path), COMES_WITHIN);
    };
    const ended = () => clearTimeout(timer);
    events.on('routeChangeStart', started);
    events.on('routeChangeComplete', ended);
    events.on('routeChangeError', ended);
    return () => {
      clearTimeout(timer);
      events.off('routeChangeStart', started);
      events.off('routeChangeComplete', ended);
      events.off('routeChangeError', ended);
    };
  }, [events]);
}

/** How long a screen's own pictures have the line for themselves, milliseconds. */
const SHOWN_WITHIN = 3_000;

/**
 * Fetches the other screens while there is nothing else to do, one after another. Links would do
 * it as soon as they are seen, all in one long task before the screen is there.
 */
function usePrefetch(router: AppProps['router'], ready: boolean) {
  useEffect(() => {
    if (!ready || !('requestIdleCallback' in window)) return;
    const left = ['/image', '/batch', ...Object.values(GO)];
    let waiting: number | undefined;
    let gone = false;
    const wait = () => {
      if (!gone) waiting = requestIdleCallback(next);
    };
    const next = () => {
      const path = left.shift();
      // What cannot be fetched now is when it is gone to.
      if (path !== undefined) void router.prefetch(path).catch(() => undefined).then(wait);
    };
    const timer = setTimeout(wait, SHOWN_WITHIN);
    return () => {
      gone = true;
      clearTimeout(timer);
      if (waiting !== undefined) cancelIdleCallback(waiting);
    };
  }, [router, ready]);
}

/** Bounds of the wait before the script of the stream is asked for again, milliseconds. */
const FOLLOW_AGAIN = { least: 1_000, most: 10_000 };

/**
 * Keeps the focus through a change of screens: what had it went with the old one, so it goes
 * to the new one's title, or its content where the title is still awaited. It stands here,
 * as nothing else outlives the change.
 */
function useFocusOnArrival(screen: string) {
  const before = useRef(screen);
  useEffect(() => {
    if (before.current === screen) return;
    before.current = screen;
    if (document.activeElement === document.body) (document.getElementById('title') ?? document.getElementById('main'))?.focus({ preventScroll: true });
  }, [screen]);
}

export default function App({ Component, pageProps, router }: AppProps) {
  const [queries] = useState(newQueries);
  const session = useSession();
  // The first screen is drawn in slices, between which the browser answers: on a phone it takes a while.
  const alive = useDeferredValue(session !== undefined);
  useArrival(router.events);
  useFocusOnArrival(router.pathname);
  usePrefetch(router, alive && !!session);
  const account = session ? accountOf(session.token) : '';
  useEffect(() => {
    if (!account) return;
    let stop: (() => void) | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    let gone = false;
    const start = (wait: number) =>
      void import('../api/live').then(
        ({ follow }) => {
          if (!gone) stop = follow(account, queries);
        },
        () => {
          // Without it a screen would not change any more: it comes as soon as it can be had.
          if (!gone) again = setTimeout(start, wait, Math.min(2 * wait, FOLLOW_AGAIN.most));
        },
      );
    start(FOLLOW_AGAIN.least);
    return () => {
      gone = true;
      clearTimeout(again);
      stop?.();
    };
  }, [account, queries]);
  // Nothing of one person is shown to the next, and positions are each one's own. In every
  // tab: one signs out in another.
  useEffect(
    () => () => {
      queries.clear();
      forgetSeen();
    },
    [account, queries],
  );
  return (
    <QueryClientProvider client={queries}>
      <Head>
        <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover" />
      </Head>
      {(session && alive) || PUBLIC.includes(router.pathname) ? <Component {...pageProps} key={account} /> : <Frame title="" />}
      {session && <Palette key={account} />}
    </QueryClientProvider>
  );
}
