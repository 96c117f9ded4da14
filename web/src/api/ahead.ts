// What a screen cannot be drawn without is asked for by a script in the page's head, while the
// page's own scripts are still on their way: a second earlier, on a phone that has none of them.

import { KEY, RENEW_BEFORE } from './session';
import { isAfter } from '../position';

type Asked = { address: string; token: string; answer: Promise<Response> };

/** Pictures that are fetched before the screen is there (count): what a phone shows of a gallery. */
const PICTURES = 6;

/**
 * The script that asks for a list of images, and for the pictures of the first. It does where
 * somebody is signed in whose token need not be renewed, and the address says nothing of its own.
 */
export function askAhead(address: string): string {
  return `try{const{token,expires}=JSON.parse(localStorage.getItem('${KEY}'));if(!location.search&&expires-Date.now()>${RENEW_BEFORE}){const answer=fetch('${address}',{headers:{Authorization:'Bearer '+token}});window.asked={address:'${address}',token,answer};answer.then(a=>a.clone().json()).then(({items})=>items.slice(0,${PICTURES}).forEach(i=>{new Image().src=i.links.thumbnail})).catch(()=>{})}}catch{}`;
}

/**
 * The answer to a read, if it was asked ahead by the same person; once. Where none came, or one
 * that is older than a position that was seen, the read is made as any other.
 */
export async function askedAhead(address: string, token: string | undefined, seen: string | undefined): Promise<Response | undefined> {
  const held = window as { asked?: Asked };
  const asked = held.asked;
  if (asked?.address !== address || asked.token !== token) return undefined;
  held.asked = undefined;
  const answer = await asked.answer.catch(() => undefined);
  const position = answer?.headers.get('Atelier-Position');
  return seen && position && isAfter(seen, position) ? undefined : answer;
}
