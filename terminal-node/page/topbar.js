// How things stand, always in sight: is the cloud heard, what waits, since when, and may this be switched off?

import { post } from './api.js';
import { age, button, draw, h, icon, toast } from './dom.js';
import { t } from './strings.js';

/** A state must last so long before it is shown as trouble: a link that blinks is not news. */
const HYSTERESIS = 1500;

let status = null;
let silentSince = null;
let troubleSince = null;
let parts = null;
let syncing = false;
let bad = null;

/** Makes the bar and the banner under it. Its parts stay; only what they say changes. */
export function build() {
  parts = {
    link: h('span', { id: 'link', class: 'pill' }),
    pending: h('span', { id: 'pending', class: 'fact' }),
    heard: h('span', { id: 'heard', class: 'fact wide' }),
    lamp: h('span', { id: 'lamp', class: 'lamp' }),
    label: h('span'),
    banner: h('div', { class: 'banner', role: 'alert', hidden: true }),
  };
  parts.sync = button([icon('sync'), parts.label], sync,
    { id: 'sync', class: 'sync', 'aria-label': t('bar.syncLabel'), 'aria-keyshortcuts': 'F8' });
  setInterval(show, 500);
  show();
  return [h('header', { class: 'bar', 'aria-label': t('bar.label') }, parts.link, parts.pending, parts.heard,
    h('span', { class: 'space' }), parts.lamp, parts.sync), parts.banner];
}

export const latest = () => status;

/** Takes in what the till says of itself; null if it only says that it is there. */
export function told(next) {
  silentSince = null;
  if (next) status = next;
  show();
}

/** Takes in that the till does not answer. */
export function silent() {
  silentSince ??= Date.now();
  show();
}

/** What is wrong, as a word, or null. */
function trouble() {
  if (silentSince !== null) return 'silent';
  const link = status?.connection;
  return link?.state === 'offline' ? link.cause : null;
}

/** The same, once it has lasted. What is over is over at once. */
function lastingTrouble() {
  const now = trouble();
  if (now === null) { troubleSince = null; bad = null; return null; }
  troubleSince ??= Date.now();
  if (Date.now() - troubleSince >= HYSTERESIS) bad = now;
  return bad;
}

function show() {
  if (!parts) return;
  const wrong = lastingTrouble();
  const now = Date.now();
  const pending = status?.pending ?? 0;
  const attention = status?.needsAttention ?? 0;
  const oldest = status?.oldestPendingMs && pending ? age(now - status.oldestPendingMs) : null;
  const heard = status?.link?.lastSuccessMs ? age(now - status.link.lastSuccessMs) : null;
  const heardText = heard ? t('bar.lastSuccess', { age: heard }) : t('bar.never');
  const word = wrong === 'silent' ? 'silent'
    : wrong ? 'offline' : status?.connection?.state === 'starting' || !status ? 'starting' : 'online';
  const safe = Boolean(status?.safeToSwitchOff) && silentSince === null;

  parts.link.className = `pill ${word}`;
  draw(parts.link, word, () => [h('i', {}), t(`bar.${word}`)]);
  parts.pending.className = pending || attention ? 'fact waiting' : 'fact';
  parts.pending.dataset.pending = pending;
  const waits = pending ? t('bar.pending', { n: pending })
    : attention ? t('bar.attention', { n: attention }) : t('bar.pendingNone');
  const since = oldest ? t('bar.oldest', { age: oldest }) : heardText;
  draw(parts.pending, [waits, since], () => [h('b', {}, waits), h('small', {}, since)]);
  parts.heard.hidden = !oldest;
  draw(parts.heard, heardText, () => h('small', {}, heardText));
  parts.lamp.className = safe ? 'lamp safe' : 'lamp';
  parts.lamp.dataset.safe = safe;
  parts.lamp.title = t(safe ? 'bar.safeHint' : 'bar.unsafeHint');
  draw(parts.lamp, safe, () => [h('i', {}), h('span', {}, t(safe ? 'bar.safe' : 'bar.unsafe'))]);
  parts.sync.disabled = syncing;
  parts.sync.classList.toggle('busy', syncing);
  draw(parts.label, syncing, () => t(syncing ? 'bar.syncing' : 'bar.sync'));
  const keeps = attention + pending;
  parts.banner.hidden = !wrong;
  draw(parts.banner, [wrong, keeps], () => (wrong ? [icon('offline'), h('p', {}, warning(wrong, keeps))] : []));
}

function warning(wrong, keeps) {
  if (wrong === 'silent') return h('b', {}, t('banner.silent'));
  return [
    h('b', { id: 'cause', 'data-cause': wrong }, t('banner.offline', { why: t(`cause.${wrong}`) })), ' ',
    t(keeps ? 'banner.goOn' : 'banner.goOnNone', { n: keeps })];
}

/** Speaks to the cloud now, and says what came of it. */
export async function sync() {
  if (syncing) return;
  syncing = true;
  show();
  try {
    const after = await post('/sync?waitMs=20000', undefined, 25_000);
    told(after);
    if (after.connection?.state === 'offline') {
      toast(t('synced.failed', { why: t(`cause.${after.connection.cause}`) }), { bad: true });
    } else {
      toast(after.pending ? t('synced.rest', { n: after.pending }) : t('synced.all'));
    }
  } catch {
    toast(t('synced.failed', { why: t('cause.silent') }), { bad: true });
  } finally {
    syncing = false;
    show();
  }
}
