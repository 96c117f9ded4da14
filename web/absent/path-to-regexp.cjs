// Stands for path-to-regexp in the exported pages (../next.config.mjs). Next's router brings it
// for dynamic routes and rewrites, of which there are none here: addresses have queries.
const none = () => {
  throw new Error('no screen has a dynamic route');
};

module.exports = { pathToRegexp: none, compile: none, regexpToFunction: none, parse: none };
