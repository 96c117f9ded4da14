import { useId, useRef } from 'react';
import { CircleX, Plus, X } from 'lucide-react';
import { words } from '../words';
import { Button, IconButton, Input } from './basics';

/** A short list of lines, each a field; Enter adds the next. */
export function Lines({ label, hint, lines, onChange, most, lineMost, errors }: { label: string; hint?: string; lines: string[]; onChange: (lines: string[]) => void; most: number; lineMost: number; errors?: Record<number, string> }) {
  const box = useRef<HTMLFieldSetElement>(null);
  const id = useId();
  const focus = (at: number) => requestAnimationFrame(() => box.current?.querySelectorAll('input')[at]?.focus());
  const add = () => {
    if (lines.length >= most) return;
    onChange([...lines, '']);
    focus(lines.length);
  };
  return (
    <fieldset ref={box} className="flex flex-col gap-1.5">
      <legend className="mb-1 font-medium">{label}</legend>
      {lines.map((line, at) => (
        <div key={at} className="flex flex-col gap-1">
          <div className="flex gap-1">
            <Input
              value={line}
              maxLength={lineMost}
              aria-label={words.lineOf(label, at + 1)}
              aria-invalid={errors?.[at] ? true : undefined}
              aria-describedby={errors?.[at] ? id + at : undefined}
              onChange={(event) => onChange(lines.map((old, i) => (i === at ? event.target.value : old)))}
              onKeyDown={(event) => {
                if (event.key === 'Enter') {
                  event.preventDefault();
                  add();
                } else if (event.key === 'Backspace' && line === '') {
                  event.preventDefault();
                  onChange(lines.filter((_, i) => i !== at));
                  focus(Math.max(0, at - 1));
                }
              }}
            />
            <IconButton icon={X} label={words.removeLine(label, at + 1)} onClick={() => onChange(lines.filter((_, i) => i !== at))} />
          </div>
          {errors?.[at] && (
            <p id={id + at} className="flex items-center gap-1 text-caption text-bad">
              <CircleX size={14} aria-hidden />
              {errors[at]}
            </p>
          )}
        </div>
      ))}
      {lines.length < most && (
        <Button kind="quiet" icon={Plus} className="self-start" onClick={add}>
          {words.addLine}
        </Button>
      )}
      {hint && <p className="text-caption text-muted">{hint}</p>}
    </fieldset>
  );
}
