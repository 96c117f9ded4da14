import type { Schemas } from '../api/client';
import { images, number } from './formats';

export const settingsWords = {
  look: 'Look',
  themes: { system: 'As the system', light: 'Light', dark: 'Dark' },
  keys: 'Keys',
  shortcuts: [
    ['⌘K, Ctrl K', 'Search or go to'],
    ['C', 'Create'],
    ['G then G', 'Gallery'],
    ['G then B', 'Brands'],
    ['G then M', 'Credits'],
    ['⌘↵, Ctrl ↵', 'Make the images'],
    ['/', 'Search the gallery'],
    ['← ↑ → ↓', 'Move among images'],
    ['Space', 'Select'],
    ['Enter', 'Open'],
    ['F', 'Favourite'],
    ['D', 'Download the open image'],
    ['+ and −', 'Zoom'],
    ['Esc', 'Go back'],
  ] as [string, string][],
  account: 'Account',
  unconfirmed: 'not confirmed yet',
  limits: (limits: Schemas['AccountLimits']) => `Up to ${images(limits.images_per_batch)} a batch, ${number(limits.open_generations)} running at once, ${number(limits.brands)} brands, ${number(limits.assets)} assets.`,
  signOut: 'Sign out',
};
