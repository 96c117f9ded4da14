// A position is `generation.partition.offset` in the event log. One account lives in
// one partition, so that two of its positions can be compared.

export function isAfter(a: string, b: string | undefined): boolean {
  if (!b) return true;
  const [generationA = 0, , offsetA = 0] = a.split('.').map(Number);
  const [generationB = 0, , offsetB = 0] = b.split('.').map(Number);
  return generationA !== generationB ? generationA > generationB : offsetA > offsetB;
}
