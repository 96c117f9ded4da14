import { AlertTriangle, Check, CircleX } from 'lucide-react';
import type { Schemas } from '../api/client';
import { classes } from '../ui/basics';
import { attemptWords } from '../words/failures';
import { checkWords, receiptWords } from '../words/receipt';

type Verdict = Schemas['ReceiptVerdict'];
export type Rules = { do?: string[]; dont?: string[] };

const MARKS = { pass: { icon: Check, tint: 'text-good' }, warn: { icon: AlertTriangle, tint: 'text-warn' }, retry: { icon: CircleX, tint: 'text-bad' }, block: { icon: CircleX, tint: 'text-bad' } };

/** A line a check: mark, name, and one line of what was found. */
export function Verdicts({ verdicts, differing, rules }: { verdicts: Verdict[]; differing?: ReadonlySet<string>; rules?: Rules }) {
  return (
    <ul className="flex flex-col gap-2">
      {verdicts.map((verdict) => {
        const { icon: Icon, tint } = MARKS[verdict.verdict];
        const fine = verdict.verdict === 'pass';
        return (
          <li key={verdict.check} title={receiptWords.question(verdict.question) || undefined} className={classes('flex items-start gap-2', differing?.has(verdict.check) && '-mx-2 rounded-control bg-accent-soft px-2 py-1')}>
            <Icon size={16} className={`mt-0.5 shrink-0 ${tint}`} aria-hidden />
            <div className="min-w-0 flex-1">
              <p>
                <span className="font-medium">{checkWords(verdict.check, rules)}</span> <span className={fine ? 'text-muted' : tint}>{receiptWords.verdicts[verdict.verdict]}</span>
              </p>
              {verdict.question && !fine && (
                <p className="text-caption text-muted">
                  {receiptWords.question(verdict.question)} <span className="font-medium text-text">{receiptWords.answers[verdict.answer]}</span>
                </p>
              )}
              {verdict.evidence && !receiptWords.plain.includes(verdict.evidence) && <p className="text-caption break-words text-muted first-letter:uppercase">{verdict.evidence}</p>}
            </div>
            {differing?.has(verdict.check) && <span className="shrink-0 text-caption font-medium">{receiptWords.differs}</span>}
          </li>
        );
      })}
    </ul>
  );
}

const SUMMARY = 'rounded-control text-muted hover:text-text';

/** What was measured is open; the judge's answers are folded until one of them has to be seen. */
function Groups({ verdicts, differing, rules }: { verdicts: Verdict[]; differing?: ReadonlySet<string>; rules?: Rules }) {
  const apart = (one: Verdict) => one.verdict !== 'pass' || !!differing?.has(one.check);
  const measured = verdicts.filter((one) => !one.question);
  const judged = verdicts.filter((one) => one.question);
  const plain = judged.filter((one) => !apart(one));
  return (
    <>
      <Verdicts verdicts={[...measured.filter(apart), ...judged.filter(apart), ...measured.filter((one) => !apart(one))]} differing={differing} rules={rules} />
      {plain.length > 0 && (
        <details>
          <summary className={SUMMARY}>{receiptWords.judgedOf(judged.filter((one) => one.verdict === 'pass').length, judged.length)}</summary>
          <div className="mt-3">
            <Verdicts verdicts={plain} rules={rules} />
          </div>
        </details>
      )}
    </>
  );
}

/** Every check that an image went through; what failed on earlier tries is folded below. */
export function ReceiptView({ receipt, differing, rules }: { receipt: Schemas['Receipt']; /** Checks to mark. */ differing?: ReadonlySet<string>; rules?: Rules }) {
  const last = receipt.attempts.at(-1);
  const earlier = receipt.attempts.slice(0, -1);
  const odd = last?.verdicts.filter((one) => one.verdict !== 'pass').length ?? 0;
  return (
    <div className="flex flex-col gap-3">
      {last && last.verdicts.length > 0 ? (
        <>
          <p className="numbers text-muted">{odd ? receiptWords.toSee(odd, last.verdicts.length) : receiptWords.allPassed(last.verdicts.length)}</p>
          <Groups verdicts={last.verdicts} differing={differing} rules={rules} />
        </>
      ) : (
        <p className="text-muted">{last ? attemptWords(last.outcome) : receiptWords.none}</p>
      )}
      {earlier.length > 0 && (
        <details>
          <summary className={SUMMARY}>{receiptWords.earlier(earlier.length)}</summary>
          <ol className="mt-3 flex flex-col gap-4 border-l pl-3">
            {earlier.map((attempt) => {
              const failed = attempt.verdicts.filter((one) => one.verdict !== 'pass');
              return (
                <li key={attempt.number} className="flex flex-col gap-2">
                  <p className="text-caption text-muted">{receiptWords.attempt(attempt.number, attemptWords(attempt.outcome))}</p>
                  {failed.length > 0 ? <Verdicts verdicts={failed} rules={rules} /> : attempt.verdicts.length === 0 && <p className="text-caption text-muted">{receiptWords.noPicture}</p>}
                </li>
              );
            })}
          </ol>
        </details>
      )}
      <p className="text-caption text-muted">{receiptWords.model(receipt.model, `${receipt.template} ${receipt.template_version}`, receipt.attempts.length)}</p>
    </div>
  );
}
