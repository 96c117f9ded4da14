// Stands for Node's process in the exported pages (../next.config.mjs), of which only the
// environment is looked at.
module.exports = { env: {} };
