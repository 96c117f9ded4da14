export const compareWords = {
  title: 'Compare',
  fewTitle: 'Choose two to four images',
  few: 'Select them in the gallery, then choose Compare.',
};
