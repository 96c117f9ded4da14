import type { Schemas } from '../api/client';
import { credits, dates, images, money, number } from './formats';

export const creditsWords = {
  title: 'Credits',
  count: credits,
  note: 'You pay only for images that passed the checks.',
  available: 'credits to spend',
  held: (held: number) => `${number(held)} held for running images`,
  owed: (owed: number) => `${number(owed)} owed`,
  expire: (count: number, at: string) => `${number(count)} expire on ${dates().format(new Date(at))}`,
  low: (left: number) => (left === 0 ? 'No credits left.' : `Only ${credits(left)} left.`),
  block: (source: string, remaining: number, granted: number) => `${({ welcome: 'Welcome', purchase: 'Bought', operator: 'Granted', plan: 'Plan' })[source] ?? source}: ${number(remaining)} of ${number(granted)} left`,
  until: (at: string) => `until ${dates().format(new Date(at))}`,
  never: 'no expiry',
  packs: 'Packs',
  seePacks: 'See packs',
  packsNote: (months: number) => `What more credits cost. They last ${months} months.`,
  /** One image of a tier in a pack. */
  imagesOf: (tier: 'standard' | 'pro', count: number, amount: number, currency: string) => `${images(count)} in ${tier === 'pro' ? 'Pro' : 'Standard'}, ${money(amount, currency)} each`,
  closedTitle: 'Buying is not open on this server yet',
  closed: 'Nothing can be paid here so far. Whoever runs this server can add credits to your account.',
  statement: 'Statement',
  noEntries: 'Nothing has come in or gone out yet',
  csv: 'Statement as CSV',
  columns: { when: 'When', what: 'What', available: 'Change', held: 'Held', balance: 'Balance' },
  show: 'Show',
  entry: ({ kind, credits: count, available_change, source }: Schemas['CreditEntry']) =>
    ({
      granted: source === 'welcome' ? 'Welcome credits' : 'Credits added',
      reserved: `Held for a batch`,
      captured: `Image delivered, ${credits(Math.abs(count))} paid`,
      released: `${credits(Math.abs(available_change))} returned`,
      expired: 'Expired',
    })[kind] ?? kind,
};
