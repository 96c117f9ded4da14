import { Head, Html, Main, NextScript, type DocumentProps } from 'next/document';
import { askAhead } from '../api/ahead';

// Before anything is drawn: light or dark, as chosen or as the system has it.
const THEME = `(()=>{const m=matchMedia('(prefers-color-scheme: dark)');const set=()=>{let t;try{t=localStorage.getItem('atelier.theme')}catch{}document.documentElement.dataset.theme=t==='light'||t==='dark'?t:m.matches?'dark':'light'};set();m.addEventListener('change',set);addEventListener('storage',set);addEventListener('atelier-theme',set)})()`;

// The list that a screen shows, as its query asks for it.
const AHEAD: Record<string, string> = { '/gallery': '/v1/generations?status=succeeded&limit=100' };

export default function Document({ __NEXT_DATA__: { page } }: DocumentProps) {
  const ahead = AHEAD[page];
  return (
    <Html lang="en" suppressHydrationWarning>
      <Head>
        <script dangerouslySetInnerHTML={{ __html: THEME }} />
        {ahead && <script dangerouslySetInnerHTML={{ __html: askAhead(ahead) }} />}
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <meta name="description" content="On-brand advertising images for Meta and Google: a brief, your brand, and files that the platforms accept." />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
      </Head>
      <body>
        <Main />
        <NextScript />
      </body>
    </Html>
  );
}
