import { useSyncExternalStore } from 'react';
import { LogOut } from 'lucide-react';
import { signOut } from '../api/client';
import { useMe } from '../api/queries';
import { Button, Chip, PageHead } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { words } from '../words';
import { settingsWords } from '../words/settings';

type Theme = 'system' | 'light' | 'dark';

function themeNow(): Theme {
  const kept = localStorage.getItem('atelier.theme');
  return kept === 'light' || kept === 'dark' ? kept : 'system';
}

function useTheme(): [Theme, (theme: Theme) => void] {
  const theme = useSyncExternalStore<Theme>(
    (changed) => {
      window.addEventListener('atelier-theme', changed);
      window.addEventListener('storage', changed);
      return () => {
        window.removeEventListener('atelier-theme', changed);
        window.removeEventListener('storage', changed);
      };
    },
    themeNow,
    () => 'system',
  );
  return [
    theme,
    (next) => {
      if (next === 'system') localStorage.removeItem('atelier.theme');
      else localStorage.setItem('atelier.theme', next);
      window.dispatchEvent(new Event('atelier-theme'));
    },
  ];
}

export default function Settings() {
  const [theme, setTheme] = useTheme();
  const me = useMe();
  return (
    <Frame title={words.nav.settings}>
      <div className="flex max-w-160 flex-col gap-10">
        <PageHead title={words.nav.settings} />
        <section className="flex flex-col gap-3">
          <h2 className="text-title font-semibold">{settingsWords.look}</h2>
          <div role="group" aria-label={settingsWords.look} className="flex gap-2">
            {(['system', 'light', 'dark'] as const).map((one) => (
              <Chip key={one} on={theme === one} onClick={() => setTheme(one)}>
                {settingsWords.themes[one]}
              </Chip>
            ))}
          </div>
        </section>
        <section className="flex flex-col gap-3">
          <h2 className="text-title font-semibold">{settingsWords.keys}</h2>
          <dl className="divide-y border-y">
            {settingsWords.shortcuts.map(([keys, what]) => (
              <div key={keys} className="flex h-10 items-center justify-between gap-4">
                <dt>{what}</dt>
                <dd>
                  <kbd className="rounded-control border bg-surface px-2 py-0.5 text-caption">{keys}</kbd>
                </dd>
              </div>
            ))}
          </dl>
        </section>
        <section className="flex flex-col gap-3">
          <h2 className="text-title font-semibold">{settingsWords.account}</h2>
          {me.error && !me.data ? <Failed error={me.error} retry={() => void me.refetch()} /> : null}
          <p>
            {me.data?.email} {me.data && !me.data.email_confirmed && <span className="text-warn">{settingsWords.unconfirmed}</span>}
          </p>
          {me.data && <p className="numbers text-muted">{settingsWords.limits(me.data.limits)}</p>}
          <Button icon={LogOut} className="self-start" onClick={signOut}>
            {settingsWords.signOut}
          </Button>
        </section>
      </div>
    </Frame>
  );
}
