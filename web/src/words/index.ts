// All words of the screens, in English: what every screen says stands here, what one says in
// the file of its name beside this one, so that a screen loads its own alone. A second language
// is a second folder of this shape. Dates and numbers are in the browser's own manner.

import type { ApiError } from '../api/client';
import { credits, dates, days, moments, number } from './formats';

export const words = {
  name: 'Atelier',
  number,
  signed: (value: number) => (value > 0 ? `+${number(value)}` : value < 0 ? `−${number(-value)}` : '0'),
  day: (at: string) => days().format(new Date(at)),
  date: (at: string) => dates().format(new Date(at)),
  dateTime: (at: string) => moments().format(new Date(at)),
  pixels: (width: number, height: number) => `${width} × ${height}`,
  optional: 'optional',
  ofMost: (length: number, most: number) => `${number(length)} of ${number(most)}`,
  tooLong: (most: number) => `Shorten this to ${number(most)} characters.`,
  lineOf: (label: string, at: number) => `${label}, line ${at}`,
  removeLine: (label: string, at: number) => `Remove line ${at} of ${label}`,
  addLine: 'Add a line',
  close: 'Close',
  save: 'Save',
  keep: 'Keep it',
  retry: 'Try again',
  dismiss: 'Dismiss',
  showMore: 'Show more',
  skip: 'Skip to the content',
  erased: 'Erased',
  nav: { main: 'Main', home: 'Home', create: 'Create', gallery: 'Gallery', brands: 'Brands', assets: 'Assets', credits: 'Credits', settings: 'Settings' },

  frame: {
    search: 'Search or go to…',
    switchBrand: 'Brand to work with',
    left: 'credits left',
    leftHeld: (held: number) => `credits left, ${number(held)} held`,
    ended: 'Your session has ended.',
    endedHint: 'Sign in again to go on. What you typed is kept.',
    signInAgain: 'Sign in again',
  },

  noBrand: {
    title: 'No brand yet',
    text: 'A brand keeps logo, colours, voice and rules, so that every advert looks like yours.',
    action: 'New brand',
  },

  connection: {
    title: 'Connection',
    offline: 'You are offline. What you see may be old; what you type is kept.',
    reconnecting: 'The server cannot be reached. Trying again…',
  },

  platforms: { meta: 'Meta', google: 'Google' } as Record<string, string>,
  errors: {
    awayTitle: 'The server cannot be reached',
    unreachable: 'Check your connection and try again. Nothing that you typed is lost.',
    noPageTitle: 'There is no such page',
    noPage: 'The address may be mistyped, or the page has moved.',
  },

  /** What an error means and what to do. */
  errorOf: (error: ApiError): { title: string; text: string } => {
    const shortfall = error.figure?.('shortfall');
    const known: Record<string, { title: string; text: string }> = {
      unreachable: { title: 'The server cannot be reached', text: 'Check your connection and try again. Nothing that you typed is lost.' },
      unavailable: { title: 'The service is away for a moment', text: 'Nothing was spent. Try again in a few seconds.' },
      position_not_reached: { title: 'Still catching up', text: 'The newest changes are not readable yet. Try again in a few seconds.' },
      undecided: { title: 'Still being decided', text: 'It was accepted and will show up here. Nothing is charged twice if you try again.' },
      insufficient_credits: { title: 'Not enough credits', text: shortfall === undefined ? 'Make fewer images, or get credits.' : `${credits(shortfall)} short. Make fewer images, or get credits.` },
      price_changed: { title: 'The price has changed', text: 'Nothing was spent. The new price is shown; try again to accept it.' },
      account_suspended: { title: 'Your account is suspended', text: 'You can see and download everything, but not make new images. Write to support to have it looked at.' },
      allowance_exhausted: { title: 'Too many images failed today', text: 'Briefs that cannot be drawn and late cancels cost us; try again in some hours, with a simpler brief.' },
      quota_closed: { title: 'No more images are made today', text: 'The day’s budget of this server is used up. Your draft is kept; images that are running are still made.' },
      too_many_open: { title: 'Too many images are running', text: 'Wait until some are done, or cancel some.' },
      rate_limited: { title: 'Too fast', text: 'Wait a minute and try again.' },
      limit_reached: { title: 'Your limit is reached', text: error.message },
      stale_version: { title: 'Saved elsewhere meanwhile', text: 'Look at both versions and choose.' },
      image_gone: { title: 'The image is gone', text: 'It was in the bin for 30 days.' },
      media_link_expired: { title: 'The link has expired', text: 'Load the page again for a new one.' },
      not_found: { title: 'Not found', text: 'It is gone, or belongs to somebody else.' },
      unauthorized: { title: 'Your session has ended', text: 'Sign in again to go on. What you typed is kept.' },
      body_too_large: { title: 'Too large', text: 'Files may have up to 20 MB.' },
      image_refused: { title: 'The picture was refused', text: error.message },
      needs_adapt: { title: 'This ratio cannot be cut', text: 'Too much of the picture would be lost. Make it for that placement instead.' },
      stopped: { title: 'Stopped', text: 'The upload was stopped.' },
    };
    return known[error.code] ?? { title: 'That did not work', text: error.message || 'Try again.' };
  },
};
