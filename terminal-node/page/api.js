// The daemon's local API. Every request ends: with an answer, a refusal, or silence.

import { token } from './memory.js';

/** The daemon did not answer: nobody knows what it did. */
export class Silent extends Error {}

/** The daemon said no, and why. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? String(status));
    this.status = status;
    this.code = problem.code ?? '';
  }
}

const LIMIT = 10_000;

/** Asks, and returns the text of the answer. */
export async function askText(method, path, body, limit = LIMIT) {
  const stop = AbortSignal.timeout(limit);
  const headers = { authorization: `Bearer ${token()}` };
  if (body !== undefined) headers['content-type'] = 'application/json';
  let answer;
  let text;
  try {
    answer = await fetch(path, { method, headers, body, signal: stop, cache: 'no-store' });
    text = await answer.text();
  } catch (error) {
    throw new Silent(String(error));
  }
  if (answer.ok) return text;
  let problem = {};
  try { problem = JSON.parse(text); } catch { /* a refusal without words is one too */ }
  throw new Refused(answer.status, problem);
}

/** Asks, and returns the answer. */
export async function ask(method, path, body, limit) {
  const text = await askText(method, path, body === undefined ? undefined : JSON.stringify(body), limit);
  return text ? JSON.parse(text) : null;
}

export const get = (path) => ask('GET', path);
export const post = (path, body, limit) => ask('POST', path, body, limit);

/** Makes the part of an address after its question mark. */
export const query = (values) => new URLSearchParams(
  Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== '')).toString();

/** How long the till may be silent before the stream is taken for dead: it beats every 10 s. */
const SILENCE = 25_000;

/** Follows the state of the till for ever. `told` gets each state, `silent` hears of each break with what is
 * known of it. */
export async function follow(told, silent) {
  for (;;) {
    const stop = new AbortController();
    let watch = setTimeout(() => stop.abort(), SILENCE);
    try {
      const headers = { authorization: `Bearer ${token()}` };
      const answer = await fetch('/events', { headers, signal: stop.signal, cache: 'no-store' });
      if (!answer.ok) throw new Refused(answer.status, {});
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        clearTimeout(watch);
        watch = setTimeout(() => stop.abort(), SILENCE);
        const events = (rest + value).split('\n\n');
        rest = events.pop();
        for (const event of events) {
          const data = /^data: (.*)$/m.exec(event);
          if (data) told(JSON.parse(data[1]));
          else told(null);
        }
      }
      throw new Silent('the stream ended');
    } catch (error) {
      silent(error);
    } finally {
      clearTimeout(watch);
    }
    await new Promise((wake) => { setTimeout(wake, 500); });
  }
}
