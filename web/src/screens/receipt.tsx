import { AlertTriangle, Check, CircleX } from 'lucide-react';
import type { Schemas } from '../api/client';
import { classes } from '../ui/basics';
import { receiptWords } from '../words/receipt';

const MARKS = { pass: { icon: Check, tint: 'text-good' }, warn: { icon: AlertTriangle, tint: 'text-warn' }, retry: { icon: CircleX, tint: 'text-bad' }, block: { icon: CircleX, tint: 'text-bad' } };

function Verdicts({ verdicts, differing }: { verdicts: Schemas['ReceiptVerdict'][]; differing?: ReadonlySet<string> }) {
  if (verdicts.length === 0) return <p className="text-muted">{receiptWords.none}</p>;
  return (
    <ul className="flex flex-col gap-2">
      {verdicts.map((verdict) => {
        const { icon: Icon, tint } = MARKS[verdict.verdict];
        return (
          <li key={verdict.check} className={classes('flex items-start gap-2', differing?.has(verdict.check) && '-mx-2 rounded-control bg-accent-soft px-2 py-1')}>
            <Icon size={16} className={`mt-0.5 shrink-0 ${tint}`} aria-hidden />
            <div className="min-w-0 flex-1">
              <p>
                <span className="font-medium">{receiptWords.checks[verdict.check] ?? verdict.check}</span> <span className="text-muted">{receiptWords.verdicts[verdict.verdict]}</span>
              </p>
              {verdict.evidence && <p className="text-caption break-words text-muted">{verdict.evidence}</p>}
            </div>
            {differing?.has(verdict.check) && <span className="shrink-0 text-caption font-medium">{receiptWords.differs}</span>}
          </li>
        );
      })}
    </ul>
  );
}

/** Every check that an image went through; what failed on earlier tries is folded below. */
export function ReceiptView({ receipt, differing }: { receipt: Schemas['Receipt']; /** Checks to mark. */ differing?: ReadonlySet<string> }) {
  const last = receipt.attempts.at(-1);
  const earlier = receipt.attempts.slice(0, -1);
  return (
    <div className="flex flex-col gap-3">
      {last && <Verdicts verdicts={last.verdicts} differing={differing} />}
      {earlier.length > 0 && (
        <details>
          <summary className="text-muted">{receiptWords.earlier(earlier.length)}</summary>
          <div className="mt-2 flex flex-col gap-3">
            {earlier.map((attempt) => (
              <div key={attempt.number}>
                <p className="mb-1 text-caption text-muted">{receiptWords.attempt(attempt.number, attempt.outcome)}</p>
                <Verdicts verdicts={attempt.verdicts} />
              </div>
            ))}
          </div>
        </details>
      )}
      <p className="text-caption text-muted">{receiptWords.model(receipt.model, receipt.attempts.length)}</p>
    </div>
  );
}
