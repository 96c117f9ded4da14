import { credits, number } from './formats';

export const homeWords = {
  title: 'Your adverts',
  welcome: 'Welcome',
  left: (available: number, held: number) => `${credits(available)} left${held ? `, ${number(held)} held for running images` : ''}`,
  running: 'Running',
  made: 'Made',
  all: 'All images',
  first: 'Make four sample adverts',
  firstTitle: (brand: string) => `Make your first adverts with ${brand}`,
  firstText: 'A sample brand and a sample brief are ready. Four placements, eight credits; you pay only for images that pass the checks.',
  ownBrand: 'Set up your own brand',
};
