import '../styles.css';
import type { AppProps } from 'next/app';
import Head from 'next/head';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { ApiError, forgetSeen } from '../api/client';
import { accountOf, useSession } from '../api/session';
import { Frame } from '../ui/frame';

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
      mutations: { networkMode: 'always' },
    },
  });
}

/** Screens that are shown to whoever comes. All others read what is somebody's. */
const PUBLIC = ['/sign-in', '/404', '/_error', '/style'];

export default function App({ Component, pageProps, router }: AppProps) {
  const [queries] = useState(newQueries);
  const session = useSession();
  const account = session ? accountOf(session.token) : '';
  useEffect(() => {
    if (!account) return;
    let stop: (() => void) | undefined;
    let gone = false;
    void import('../api/live').then(({ follow }) => {
      if (!gone) stop = follow(account, queries);
    });
    return () => {
      gone = true;
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
      {session || PUBLIC.includes(router.pathname) ? <Component {...pageProps} key={account} /> : <Frame title="" />}
    </QueryClientProvider>
  );
}
