import { plural } from './formats';

export const receiptWords = {
  differs: 'Differs',
  none: 'No check has run yet.',
  earlier: (count: number) => plural(count, 'earlier try', 'earlier tries'),
  attempt: (at: number, outcome: string) => `Try ${at}: ${outcome.replaceAll('_', ' ')}`,
  model: (model: string, tries: number) => `${model}, ${plural(tries, 'try', 'tries')}`,
  checks: { decodes: 'File is whole and as asked' } as Record<string, string>,
  verdicts: { pass: 'passed', warn: 'passed with a warning', retry: 'not passed', block: 'not passed' },
};
