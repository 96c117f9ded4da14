import type { ApiError } from '../api/client';
import { Button, Notice } from './basics';
import { words } from '../words';

/** What went wrong, in words that say what to do, and a way on. */
export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const { title, text } = words.errorOf(error as ApiError);
  return (
    <Notice kind="bad" title={title} action={retry && <Button onClick={retry}>{words.retry}</Button>}>
      {text}
    </Notice>
  );
}
