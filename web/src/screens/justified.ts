// Justified rows: pictures of given ratios in rows of about one height that fill the width.

export type Row = { from: number; to: number; height: number; top: number };

/** Lays out n pictures in a width; gap and heights in pixels. The last row keeps the wanted height. */
export function justify(ratios: readonly number[], width: number, wanted: number, gap: number): { rows: Row[]; height: number } {
  const rows: Row[] = [];
  let from = 0;
  let sum = 0;
  let top = 0;
  const close = (to: number, height: number) => {
    rows.push({ from, to, height, top });
    top += height + gap;
    from = to;
    sum = 0;
  };
  for (let i = 0; i < ratios.length; i++) {
    sum += ratios[i]!;
    const height = (width - gap * (i - from)) / sum;
    if (height <= wanted) close(i + 1, height);
  }
  if (from < ratios.length) close(ratios.length, Math.min(wanted, (width - gap * (ratios.length - 1 - from)) / sum));
  return { rows, height: Math.max(0, top - gap) };
}

/** The index that an arrow key leads to from `at`; `at` itself where there is none. */
export function moved(rows: readonly Row[], ratios: readonly number[], at: number, key: string): number {
  if (key === 'ArrowLeft') return Math.max(0, at - 1);
  if (key === 'ArrowRight') return Math.min(ratios.length - 1, at + 1);
  if (key === 'Home') return 0;
  if (key === 'End') return ratios.length - 1;
  const row = rows.findIndex((one) => at >= one.from && at < one.to);
  const next = rows[row + (key === 'ArrowDown' ? 1 : -1)];
  const here = rows[row];
  if (!next || !here) return at;
  const middle = ratios.slice(here.from, at).reduce((sum, ratio) => sum + ratio * here.height, 0) + (ratios[at]! * here.height) / 2;
  let x = 0;
  for (let i = next.from; i < next.to; i++) {
    x += ratios[i]! * next.height;
    if (x >= middle) return i;
  }
  return next.to - 1;
}
