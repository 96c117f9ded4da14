// The colours that are found in a logo. Loaded with the brand's editor alone.

/** Pixels a side to which a logo is reduced before its colours are counted. */
const SAMPLE = 48;

/** Distance in RGB under which two colours count as one (0 to 441). */
const ALIKE = 48;

/** Whether two colours #rrggbb count as one. */
export function isNear(a: string, b: string): boolean {
  return Math.hypot(...[1, 3, 5].map((at) => parseInt(a.slice(at, at + 2), 16) - parseInt(b.slice(at, at + 2), 16))) < ALIKE;
}

/** The leading colours of a picture, most of it first, at most `most`; without what is transparent or nearly white. */
export async function paletteOf(src: string, most = 5): Promise<string[]> {
  const image = new Image();
  image.src = src;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SAMPLE;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) return [];
  context.drawImage(image, 0, 0, SAMPLE, SAMPLE);
  const { data } = context.getImageData(0, 0, SAMPLE, SAMPLE);
  const groups: { r: number; g: number; b: number; n: number }[] = [];
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b, a] = [data[i]!, data[i + 1]!, data[i + 2]!, data[i + 3]!];
    if (a < 200 || Math.min(r, g, b) > 244) continue;
    const near = groups.find((group) => Math.hypot(group.r / group.n - r, group.g / group.n - g, group.b / group.n - b) < ALIKE);
    if (near) {
      near.r += r;
      near.g += g;
      near.b += b;
      near.n++;
    } else groups.push({ r, g, b, n: 1 });
  }
  const least = (SAMPLE * SAMPLE) / 200; // half a percent of the picture
  return groups
    .filter((group) => group.n > least)
    .sort((a, b) => b.n - a.n)
    .slice(0, most)
    .map((group) => '#' + [group.r, group.g, group.b].map((sum) => Math.round(sum / group.n).toString(16).padStart(2, '0')).join(''));
}
