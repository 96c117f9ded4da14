import Head from 'next/head';
import { ButtonLink, Empty } from '../ui/basics';
import { words } from '../words';

export default function NotFound() {
  return (
    <main className="grid min-h-dvh place-items-center">
      <Head>
        <title>{`${words.errors.noPageTitle} · ${words.name}`}</title>
      </Head>
      <Empty page title={words.errors.noPageTitle} action={<ButtonLink kind="primary" href="/">{words.nav.home}</ButtonLink>}>
        {words.errors.noPage}
      </Empty>
    </main>
  );
}
