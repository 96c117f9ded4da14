import { credits, images, lists, number } from './formats';

export const makeMoreWords = {
  title: 'Make more',
  ways: { refine: 'Refine', vary: 'Vary', adapt: 'Adapt' },
  hints: {
    refine: 'The same picture, changed as you say.',
    vary: 'One thing changes, the rest is held.',
    adapt: 'Composed anew for other placements; nothing is cut off.',
  },
  feedback: 'What should be another way?',
  feedbackHint: 'About the picture. Headline, call to action and logo are under Edit, and free.',
  feedbackExample: 'Softer light from the left, and the bottle a little smaller.',
  feedbackMissing: 'Say what should be another way.',
  factor: 'What changes',
  placements: 'Placements',
  placementMissing: 'Choose at least one placement.',
  free: 'cropping gives it for free',
  freeChosen: (names: string[]) => `Cropping gives ${lists.format(names)} for free: see Download. A composition of its own loses nothing at the edges.`,
  count: 'How many',
  fewer: 'Fewer images',
  more: 'More images',
  countOf: (count: number) => images(count),
  price: (count: number, cost: number, left: number) => `${images(count)} · ${credits(cost)} · failures are free · ${number(left)} left`,
  make: (count: number, cost: number) => `Make ${images(count)} · ${credits(cost)}`,
  makeNothing: 'Make images',
  short: (shortfall: number, available: number) => `${credits(shortfall)} short: you have ${number(available)}.`,
  made: (count: number) => `${images(count)} asked for.`,
};
