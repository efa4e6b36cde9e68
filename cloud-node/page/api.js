// The node's routes. Every request ends: with an answer, a refusal, or silence.

/** The node did not answer: nobody knows what it did. */
export class Silent extends Error {}

/** The node said no, and why. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? String(status));
    this.status = status;
    this.code = problem.code ?? '';
    this.wait = problem.wait ?? null;
  }
}

/** How long an answer may take. */
const LIMIT = 30_000;
/** How long a touch counts as somebody being there. */
const PRESENT = 60_000;
/** How long the stream may be silent before it is taken for dead: it beats every 10 s. */
const SILENCE = 25_000;
/** How often is asked where there is no stream. */
const PACE = 10_000;

let touched = Date.now();
let ended = () => {};
let heard = () => {};

for (const kind of ['pointerdown', 'keydown']) {
  document.addEventListener(kind, () => { touched = Date.now(); }, { capture: true, passive: true });
}

/** Calls when the session is over, and whenever it shows whether the node is there. */
export function notify(calls) { ({ ended, heard } = calls); }

/** What the node demands of a page, and whether a person is at it: only that keeps a session alive. */
const marks = () => ({ 'x-counterfoil-page': Date.now() - touched < PRESENT ? 'person' : 'page' });

/** Asks, and returns the answer. */
export async function ask(method, path, body, kind = 'application/json') {
  const headers = marks();
  if (body !== undefined) headers['content-type'] = kind;
  const sent = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  let answer;
  let text;
  try {
    answer = await fetch(path, { method, headers, body: sent, signal: AbortSignal.timeout(LIMIT), cache: 'no-store' });
    text = await answer.text();
  } catch (error) {
    heard(false);
    throw new Silent(String(error));
  }
  heard(true);
  if (answer.ok) return text ? JSON.parse(text) : null;
  let problem = {};
  try { problem = JSON.parse(text); } catch { /* a refusal without words is one too */ }
  if (answer.status === 401 && path !== '/login') ended();
  throw new Refused(answer.status, { ...problem, wait: answer.headers.get('retry-after') });
}

export const get = (path, values = {}) => ask('GET', values ? address(path, values) : path);
export const post = (path, body = {}) => ask('POST', path, body);
export const put = (path, body) => ask('PUT', path, body);

/** Makes an address; what is not set is left out. */
export function address(path, values) {
  const set = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return set.length ? `${path}?${new URLSearchParams(set)}` : path;
}

/** Reads on as `next` says, for at most so many pages. Returns the rows, and where to go on. */
export async function pages(path, values, name, most = 10) {
  const rows = [];
  let next = null;
  for (let page = 0; page < most; page += 1) {
    const after = next === null ? {} : typeof next === 'object' ? next : { after: next };
    const answer = await get(path, { ...values, ...after });
    rows.push(...answer[name]);
    next = answer.next ?? null;
    if (next === null) break;
  }
  return { rows, next };
}

const wait = (millis) => new Promise((wake) => { setTimeout(wake, millis); });

/** Tells of every commit until the session ends; without a stream, now and then. */
export async function follow(told, state, over) {
  while (!over()) {
    const stop = new AbortController();
    let watch = setTimeout(() => stop.abort(), SILENCE);
    try {
      const answer = await fetch('/v1/admin/live', { headers: marks(), signal: stop.signal, cache: 'no-store' });
      if (answer.ok) {
        state('live');
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        let rest = '';
        for (;;) {
          const { value, done } = await reader.read();
          if (done || over()) break;
          clearTimeout(watch);
          watch = setTimeout(() => stop.abort(), SILENCE);
          const events = (rest + value).split('\n\n');
          rest = events.pop();
          if (events.some((event) => event.includes('data:'))) told();
        }
      }
    } catch { /* asked for below, then tried again */ }
    clearTimeout(watch);
    stop.abort();
    if (over()) return;
    state('polling');
    told();
    await wait(PACE);
  }
}
