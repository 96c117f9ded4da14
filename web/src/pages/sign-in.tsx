import Head from 'next/head';
import { useRouter } from 'next/router';
import { useEffect, useRef, useState } from 'react';
import { ArrowRight } from 'lucide-react';
import { signInEmbedded, SignInError, signInMethod, useSession, type SignInMethod } from '../api/session';
import { Button, Field, Input, Notice } from '../ui/basics';
import { words } from '../words';
import { signInWords } from '../words/sign-in';

/** Where to go on: a path of ours, never an address of somebody else's. */
function destination(to: unknown): string {
  return typeof to === 'string' && /^\/(?![/\\])/.test(to) ? to : '/';
}

function isAddress(email: string): boolean {
  return /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email) && email.length <= 254;
}

export default function SignIn() {
  const router = useRouter();
  const session = useSession();
  const [method, setMethod] = useState<SignInMethod | 'away'>();
  const [email, setEmail] = useState('');
  const [code, setCode] = useState('');
  const [sent, setSent] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const field = useRef<HTMLInputElement>(null);

  const ask = () => {
    setMethod(undefined);
    signInMethod().then(setMethod, () => setMethod('away'));
  };
  useEffect(ask, []);
  useEffect(() => {
    if (session && router.isReady) void router.replace(destination(router.query.to));
  }, [session, router]);

  const submit = async () => {
    const wrong = !isAddress(email.trim()) ? signInWords.badEmail : sent && !/^\d{6,10}$/.test(code.trim()) ? signInWords.badCode : undefined;
    setError(wrong);
    if (wrong || !method || method === 'away' || method.kind === 'none') {
      field.current?.focus();
      return;
    }
    setBusy(true);
    try {
      if (method.kind === 'embedded') await signInEmbedded(email.trim());
      else if (!sent) {
        await (await import('../api/supabase')).sendCode(method, email.trim());
        setSent(true);
      } else await (await import('../api/supabase')).signInWithCode(method, email.trim(), code.trim());
    } catch (failure) {
      setError(failure instanceof SignInError ? failure.said || signInWords.refused : words.errors.unreachable);
      field.current?.focus();
    } finally {
      setBusy(false);
    }
  };

  return (
    <main className="grid min-h-dvh place-items-center px-4 py-12">
      <Head>
        <title>{`${signInWords.title} · ${words.name}`}</title>
      </Head>
      <div className="enter flex w-full max-w-sm flex-col gap-8">
        <div>
          <img src="/icon.svg" alt="" width={40} height={40} className="mb-6" />
          <h1 id="title" className="text-display font-semibold">
            {signInWords.title}
          </h1>
          <p className="mt-2 text-lead text-balance text-muted">{signInWords.lead}</p>
        </div>
        {method === 'away' ? (
          <Notice kind="bad" title={words.errors.awayTitle} action={<Button onClick={ask}>{words.retry}</Button>}>
            {words.errors.unreachable}
          </Notice>
        ) : method?.kind === 'none' ? (
          <Notice title={signInWords.elsewhereTitle}>{signInWords.elsewhere}</Notice>
        ) : (
          <form
            noValidate
            className="flex flex-col gap-4"
            onSubmit={(event) => {
              event.preventDefault();
              void submit();
            }}
          >
            <Field label={signInWords.email} error={sent ? undefined : error} hint={method?.kind === 'embedded' ? signInWords.anyAddress : undefined}>
              {(props) => <Input {...props} ref={sent ? undefined : field} type="email" autoComplete="email" autoFocus value={email} disabled={sent} maxLength={254} onChange={(event) => setEmail(event.target.value)} />}
            </Field>
            {sent && (
              <Field label={signInWords.code} error={error} hint={signInWords.codeHint(email)}>
                {(props) => <Input {...props} ref={field} inputMode="numeric" autoComplete="one-time-code" autoFocus value={code} maxLength={10} className="numbers" onChange={(event) => setCode(event.target.value)} />}
              </Field>
            )}
            <Button type="submit" kind="primary" busy={busy} disabled={!method} icon={ArrowRight}>
              {method?.kind === 'supabase' && !sent ? signInWords.send : signInWords.go}
            </Button>
            {sent && (
              <Button kind="quiet" onClick={() => setSent(false)}>
                {signInWords.otherEmail}
              </Button>
            )}
          </form>
        )}
      </div>
    </main>
  );
}
