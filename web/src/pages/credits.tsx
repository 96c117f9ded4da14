import { useQueryClient } from '@tanstack/react-query';
import Link from 'next/link';
import { useState } from 'react';
import { Download } from 'lucide-react';
import { authorized } from '../api/client';
import { useEntries } from '../api/lists';
import { useCredits, usePacks, useWorkflows } from '../api/queries';
import { save } from '../download';
import { Button, classes, Empty, Notice, PageHead, Skeleton } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { words } from '../words';
import { creditsWords } from '../words/credits';
import { money } from '../words/formats';

/** Files of the statement that are put together (count): 10,000 lines each. */
const FILES_MOST = 20;

async function statement(): Promise<Blob> {
  const parts: string[] = [];
  let cursor = '';
  for (let n = 0; n < FILES_MOST; n++) {
    const answer = await authorized(`/v1/credits/entries${cursor && `?cursor=${encodeURIComponent(cursor)}`}`, { headers: { Accept: 'text/csv' } });
    const text = await answer.text();
    parts.push(n === 0 ? text : text.slice(text.indexOf('\n') + 1));
    cursor = answer.headers.get('Atelier-Next-Cursor') ?? '';
    if (!cursor) break;
  }
  return new Blob(parts, { type: 'text/csv' });
}

/** What more credits cost, and what an image does in each pack. */
function Packs() {
  const packs = usePacks();
  const prices = useWorkflows().data?.items.find((workflow) => workflow.name === 'create')?.prices;
  if (packs.error) return <Failed error={packs.error} retry={() => void packs.refetch()} />;
  return (
    <section id="packs" aria-labelledby="packs-title" className="flex scroll-mt-6 flex-col gap-4">
      <div>
        <h2 id="packs-title" className="text-title font-semibold">
          {creditsWords.packs}
        </h2>
        {packs.data && <p className="text-muted">{creditsWords.packsNote(packs.data.months)}</p>}
      </div>
      {packs.data?.checkout === false && <Notice title={creditsWords.closedTitle}>{creditsWords.closed}</Notice>}
      {packs.data && prices ? (
        <ul className="grid gap-x-8 gap-y-4 sm:grid-cols-3">
          {packs.data.items.map(({ id, credits: count, price }) => (
            <li key={id} className="flex flex-col gap-1 border-t pt-3">
              <p className="numbers flex items-baseline justify-between gap-3 text-lead font-semibold">
                <span>{creditsWords.count(count)}</span>
                <span>{money(price.amount, price.currency)}</span>
              </p>
              {(['standard', 'pro'] as const).map((tier) => {
                const each = prices[tier];
                return each ? (
                  <p key={tier} className="numbers text-table text-muted">
                    {creditsWords.imagesOf(tier, Math.floor(count / each), Math.round((price.amount * each) / count), price.currency)}
                  </p>
                ) : null;
              })}
            </li>
          ))}
        </ul>
      ) : (
        <div className="grid gap-x-8 gap-y-4 sm:grid-cols-3">
          {[0, 1, 2].map((at) => (
            <div key={at} className="h-21">
              <Skeleton className="h-full" />
            </div>
          ))}
        </div>
      )}
    </section>
  );
}

export default function Credits() {
  const queries = useQueryClient();
  const credits = useCredits();
  const entries = useEntries();
  const [failure, setFailure] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const lines = entries.data?.pages.flatMap((page) => page.items) ?? [];
  const blocks = (credits.data?.blocks ?? []).filter((block) => block.remaining > 0);
  const granted = blocks.reduce((sum, block) => sum + block.granted, 0);
  const next = blocks.filter((block) => block.expires_at).sort((a, b) => a.expires_at!.localeCompare(b.expires_at!))[0];
  const keep = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      save(await statement(), 'atelier-statement.csv');
    } catch (error) {
      setFailure(error);
    }
    setBusy(false);
  };
  return (
    <Frame title={words.nav.credits}>
      <div className="flex max-w-5xl flex-col gap-10">
        <PageHead title={words.nav.credits} note={creditsWords.note}>
          <Button icon={Download} busy={busy} onClick={() => void keep()}>
            {creditsWords.csv}
          </Button>
        </PageHead>
        {failure ? <Failed error={failure} /> : null}
        {credits.error && !credits.data ? (
          <Failed error={credits.error} retry={() => void queries.refetchQueries({ type: 'active' })} />
        ) : (
          <>
            {credits.data ? (
              <section className="flex flex-col gap-5">
                <div className="flex flex-wrap items-baseline gap-x-8 gap-y-2">
                  <p>
                    <span className="numbers text-[3.5rem] leading-none font-semibold tracking-[-0.03em]">{words.number(credits.data.available)}</span>
                    <span className="ml-2 text-lead text-muted">{creditsWords.available}</span>
                  </p>
                  {credits.data.held > 0 && <p className="numbers text-muted">{creditsWords.held(credits.data.held)}</p>}
                  {credits.data.owed > 0 && <p className="numbers text-warn">{creditsWords.owed(credits.data.owed)}</p>}
                  {next?.expires_at && <p className="numbers text-muted">{creditsWords.expire(next.remaining, next.expires_at)}</p>}
                </div>
                {blocks.length > 0 && (
                  <div>
                    <div aria-hidden className="flex h-2 gap-0.5 overflow-hidden rounded-full bg-line">
                      {blocks.map((block, at) => (
                        <span key={block.id} className="bg-accent" style={{ width: `${(100 * block.remaining) / granted}%`, opacity: 1 - Math.min(0.6, at * 0.2) }} />
                      ))}
                    </div>
                    <ul className="mt-3 flex flex-col gap-1">
                      {blocks.map((block) => (
                        <li key={block.id} className="numbers flex flex-wrap justify-between gap-x-4 text-muted">
                          <span>{creditsWords.block(block.source, block.remaining, block.granted)}</span>
                          <span>{block.expires_at ? creditsWords.until(block.expires_at) : creditsWords.never}</span>
                        </li>
                      ))}
                    </ul>
                  </div>
                )}
              </section>
            ) : (
              <div className="h-24 max-w-md">
                <Skeleton className="h-full" />
              </div>
            )}
            <Packs />
            <section className="flex flex-col gap-3">
              <h2 className="text-title font-semibold">{creditsWords.statement}</h2>
              {entries.error ? (
                <Failed error={entries.error} retry={() => void entries.refetch()} />
              ) : entries.data && lines.length === 0 ? (
                <Empty title={creditsWords.noEntries} />
              ) : (
                <div className="overflow-x-auto" tabIndex={0} role="region" aria-label={creditsWords.statement}>
                  <table className="w-full border-collapse sm:min-w-140 text-table">
                    <thead>
                      <tr className="border-b text-left text-muted">
                        {[creditsWords.columns.when, creditsWords.columns.what].map((name) => (
                          <th key={name} scope="col" className="h-10 pr-4 font-medium">
                            {name}
                          </th>
                        ))}
                        {[creditsWords.columns.available, creditsWords.columns.held, creditsWords.columns.balance].map((name) => (
                          <th key={name} scope="col" className={classes('h-10 pl-4 text-right font-medium', name === creditsWords.columns.held && 'max-sm:hidden')}>
                            {name}
                          </th>
                        ))}
                      </tr>
                    </thead>
                    <tbody>
                      {lines.map((entry) => (
                        <tr key={`${entry.id}.${entry.line}`} className="border-b">
                          <td className="numbers h-10 py-1.5 pr-4 text-muted max-sm:min-w-24 sm:whitespace-nowrap">{words.dateTime(entry.at)}</td>
                          <td className="h-10 py-1.5 pr-4">
                            {creditsWords.entry(entry)}
                            {entry.batch_id && (
                              <Link href={entry.generation_id ? `/image?id=${entry.generation_id}` : `/batch?id=${entry.batch_id}`} className="ml-2 text-accent underline decoration-edge underline-offset-2 hover:decoration-current">
                                {creditsWords.show}
                              </Link>
                            )}
                          </td>
                          <td className={classes('numbers h-10 pl-4 text-right', entry.available_change > 0 && 'text-good')}>{words.signed(entry.available_change)}</td>
                          <td className="numbers h-10 pl-4 text-right text-muted max-sm:hidden">{words.signed(entry.held_change)}</td>
                          <td className="numbers h-10 pl-4 text-right font-medium">{words.number(entry.available_after)}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </div>
              )}
              {entries.hasNextPage && (
                <Button className="self-center" busy={entries.isFetchingNextPage} onClick={() => void entries.fetchNextPage()}>
                  {words.showMore}
                </Button>
              )}
            </section>
          </>
        )}
      </div>
    </Frame>
  );
}
