// The screens are exported as files and served by the api (see ../api/site.go).
// `next dev` stands before the api instead: ATELIER_API says where that is.
const api = process.env.ATELIER_API ?? 'http://127.0.0.1:8080';

/** @type {import('next').NextConfig} */
const shared = {
  reactStrictMode: true,
  poweredByHeader: false,
  images: { unoptimized: true },
  // A build of the same source has the same names.
  generateBuildId: async () => 'atelier',
  devIndicators: false,
  // `make lint` checks the types.
  typescript: { ignoreBuildErrors: true },
};

export default (phase) =>
  phase === 'phase-development-server'
    ? {
        ...shared,
        // gzip would hold the stream back, and the proxy's 30 s would cut an idle one.
        compress: false,
        experimental: { proxyTimeout: 300_000 },
        rewrites: async () => ['/v1/:path*', '/dev/:path*', '/media/:path*', '/exports/:path*', '/client.json', '/docs', '/openapi.json', '/kit.schema.v1.json']
          .map((source) => ({ source, destination: api + source })),
      }
    : {
        ...shared,
        output: 'export',
        // 3 kB of the first load.
        turbopack: { resolveAlias: { 'next/dist/compiled/path-to-regexp': './absent/path-to-regexp.cjs', 'next/dist/compiled/process': './absent/process.cjs' } },
      };
