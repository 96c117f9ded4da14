// Numbers, dates and plurals, as the words need them.

const locale = typeof navigator === 'undefined' ? 'en' : navigator.language;

/** Made when it is first needed: the first of them takes a phone a tenth of a second. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

const numbers = once(() => new Intl.NumberFormat(locale));
export const days = once(() => new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' }));
export const dates = once(() => new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', year: 'numeric' }));
export const moments = once(() => new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' }));
export const lists = once(() => new Intl.ListFormat('en', { type: 'conjunction' }));

/** Whether small numbers are written there as the script writes them. */
const plain = /^(en|de|fr|es|it|nl|pt|sv|da|nb|nn|no|fi|pl|cs)\b/.test(locale);

export const number = (value: number) => (plain && Number.isInteger(value) && value >= 0 && value < 1000 ? String(value) : numbers().format(value));
export const plural = (count: number, one: string, many: string) => `${number(count)} ${count === 1 ? one : many}`;
export const images = (count: number) => plural(count, 'image', 'images');
export const credits = (count: number) => plural(count, 'credit', 'credits');
export const bytes = (count: number) => (count >= 1 << 20 ? `${(count / (1 << 20)).toFixed(1)} MB` : `${Math.round(count / 1024)} kB`);
/** An amount in minor units of an ISO currency, in its own manner: two digits after the point, or none. */
export const money = (amount: number, currency: string) => {
  const format = new Intl.NumberFormat(locale, { style: 'currency', currency });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
};
