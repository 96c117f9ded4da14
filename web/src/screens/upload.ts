// Uploads, with their progress: fetch cannot tell how much of a body has gone.

import { ApiError, newKey, noteSeen, type Problem, type Schemas } from '../api/client';
import { freshToken } from '../api/session';

/** What the api takes; it looks at the bytes, this only spares the way. */
export const ACCEPTED = ['image/png', 'image/jpeg', 'image/webp'];

export async function upload(file: File, fields: { kind: Schemas['AssetKind']; name?: string; brand_id?: string }, progress: (share: number) => void, signal?: AbortSignal): Promise<Schemas['AddedAsset']> {
  const token = await freshToken();
  const form = new FormData();
  form.set('kind', fields.kind);
  if (fields.name) form.set('name', fields.name);
  if (fields.brand_id) form.set('brand_id', fields.brand_id);
  form.set('file', file);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', '/v1/assets');
    request.setRequestHeader('Authorization', `Bearer ${token ?? ''}`);
    request.setRequestHeader('Idempotency-Key', newKey());
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onerror = () => reject(new ApiError({}, 0));
    request.onabort = () => reject(new ApiError({ code: 'stopped' }, 0));
    request.onload = () => {
      let answer: unknown = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // said by the status alone
      }
      noteSeen(request.getResponseHeader('Atelier-Position'));
      if (request.status >= 200 && request.status < 300) resolve(answer as Schemas['AddedAsset']);
      else reject(new ApiError(answer as Problem, request.status));
    };
    signal?.addEventListener('abort', () => request.abort());
    request.send(form);
  });
}
