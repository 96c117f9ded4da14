import { plural } from './formats';

export const receiptWords = {
  differs: 'Differs',
  none: 'No check has run yet.',
  noPicture: 'There was no picture to check.',
  allPassed: (count: number) => `${plural(count, 'check', 'checks')}, all passed`,
  toSee: (count: number, all: number) => `${count} of ${plural(all, 'check', 'checks')} to look at`,
  judgedOf: (passed: number, all: number) => `Judged by a second model: ${passed} of ${all} passed`,
  earlier: (count: number) => plural(count, 'earlier try', 'earlier tries'),
  attempt: (at: number, outcome: string) => `Try ${at}: ${outcome}`,
  model: (model: string, template: string, tries: number) => `${model}, prompt ${template}, ${plural(tries, 'try', 'tries')}`,
  question: (text: string) => text.replaceAll('picture 1', 'the picture').replaceAll('picture 2', 'your product’s picture'),
  answers: { yes: 'Yes', no: 'No', unsure: 'Not sure' } as Record<string, string>,
  /** Where the judge has only to say that nothing is wrong, nothing is said. */
  plain: ['nothing in the picture speaks against it'],
  verdicts: { pass: 'passed', warn: 'look at it', retry: 'not passed', block: 'not passed' },
  checks: {
    decodes: 'File is whole and as asked',
    animated: 'Stands still',
    srgb: 'Colours are sRGB',
    border: 'No bars or borders',
    blur: 'Sharp',
    palette: 'Colours of the brand',
    duplicate: 'New in its batch',
    judge: 'Judged',
    people: 'People in it',
    anatomy: 'Hands, faces and bodies',
    artefacts: 'Nothing melted or impossible',
    frame: 'One scene to the edges',
    real_person: 'No real person',
    minors: 'Adults only',
    safety: 'Safe for everybody',
    ad_policy: 'Platforms’ advert rules',
    trademarks: 'No trademarks of others',
    scene: 'What the brief asks for',
    text: 'No words in the picture',
    product: 'Your product is in it',
    product_shape: 'The product’s shape',
    product_surface: 'The product’s materials',
    brand_colours: 'The brand’s colours lead',
    feedback: 'Your feedback',
    overlay_presence: 'All words are there',
    overlay_clear_space: 'Room around the logo',
    overlay_contrast: 'Words can be read',
    overlay_safe_zone: 'Inside the safe zone',
    overlay_text_share: 'Share of text',
  } as Record<string, string>,
  /** A rule of the brand, by its number and, where it is still the same, its words. */
  rule: (kind: 'do' | 'dont', at: number, rule?: string) => (rule ? (kind === 'do' ? `Do: ${rule}` : `Don’t: ${rule}`) : `${kind === 'do' ? 'Do' : 'Don’t'}, rule ${at}`),

};

const RULE = /^brand_(do|dont)_(\d+)$/;

/** The name of a check; `rules` are the brand's, as they were when the image was asked for. */
export function checkWords(check: string, rules?: { do?: string[]; dont?: string[] }): string {
  const rule = RULE.exec(check);
  if (!rule) return receiptWords.checks[check] ?? check.replaceAll('_', ' ');
  const [kind, at] = [rule[1] as 'do' | 'dont', Number(rule[2])];
  return receiptWords.rule(kind, at, rules?.[kind]?.[at - 1]);
}
