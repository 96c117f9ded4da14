// The codes of the generator in a person's words: why an image failed, what became of an
// attempt, and for what a running one waits. A code that is not here shows the server's detail.

const MODEL_GAVE_NONE = 'The image model gave no usable picture.';
const MODEL_BUSY = 'The image model was too busy to draw it in time.';
const MODEL_AWAY = 'The image model could not be reached.';
const MODEL_CLOSED = 'The image model is not open to us at the moment. We have been told.';
const OURS = 'Something broke on our side.';

const reasons: Record<string, string> = {
  deadline: 'It was not ready in time.',
  rejected: 'No picture passed the checks in three tries.',
  unjudged: 'Nobody could judge the picture, so it was not delivered.',
  prompt_blocked: 'The image model would not draw this brief. Say it in other words.',
  image_safety: 'The image model held the picture back for safety. Say the brief in other words.',
  image_other: MODEL_GAVE_NONE,
  no_image: 'The image model answered without a picture.',
  empty: MODEL_GAVE_NONE,
  malformed: MODEL_GAVE_NONE,
  oversized: MODEL_GAVE_NONE,
  cut: 'The picture broke off on its way to us.',
  quota: MODEL_BUSY,
  quota_minute: MODEL_BUSY,
  quota_day: 'The image model has drawn all that it may draw for us today.',
  overloaded: 'The image model was overloaded.',
  model_deadline: 'The image model took too long.',
  timeout: 'The image model took too long.',
  network: MODEL_AWAY,
  gateway: MODEL_AWAY,
  model_outage: MODEL_AWAY,
  bad_request: MODEL_CLOSED,
  billing: MODEL_CLOSED,
  permission: MODEL_CLOSED,
  model_gone: MODEL_CLOSED,
  model_unavailable: MODEL_CLOSED,
  internal: OURS,
  lost: OURS,
  storage: 'Our store for pictures could not be reached.',
  reference_unavailable: 'A picture that the brief points to is gone, or is too large.',
  unusable_brief: 'The brief or the brand could not be used as it is.',
  unknown_workflow: 'This kind of work is not offered at the moment.',
  unknown_placement: 'This placement is not offered any more.',
  account_erased: 'The account was erased.',
  canceled: 'It was canceled.',
};

/** Why an image could not be made. */
export const failureWords = ({ reason, detail }: { reason: string; detail: string }) => reasons[reason] ?? (detail || 'It could not be made.');

const attempts: Record<string, string> = {
  ok: 'Passed',
  rejected: 'A check refused it',
};

/** What became of an attempt. */
export const attemptWords = (outcome: string) => attempts[outcome] ?? reasons[outcome] ?? 'No picture';

const waits: Record<string, string> = {
  quota: 'the image model is busy',
  overloaded: 'the image model is busy',
  model_outage: 'the image model is away for a moment',
  model_unavailable: 'the image model is not open to us, we have been told',
  judge_away: 'who judges the picture is away for a moment',
  storage: 'our store is away for a moment',
  call_under_way: 'an earlier call is still under way',
};

/** For what a running image waits beside its turn; undefined where it works. */
export const waitWords = (reason: string | undefined) => (reason === undefined ? undefined : waits[reason]);

/** Whether another wording may help: the brief is what was refused. */
export const isAboutBrief = ({ reason, fault }: { reason: string; fault: string }) => fault === 'user' || ['prompt_blocked', 'image_safety', 'rejected', 'no_image'].includes(reason);
