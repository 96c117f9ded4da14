export const paletteWords = {
  hint: 'Where to, or what to find?',
  nothing: 'Nothing found.',
  create: 'Create adverts',
  goTo: (place: string) => `Go to ${place.toLowerCase()}`,
  favourites: 'Show favourites',
  newBrand: 'New brand',
  bin: 'Open the bin',
  workWith: (brand: string) => `Work with ${brand}`,
};
