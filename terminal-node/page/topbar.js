// How things stand, always in sight: is the cloud heard, what waits, since when, and may this be switched off?

import { post } from './api.js';
import { age, button, fill, h, icon, toast } from './dom.js';
import { t } from './strings.js';

/** A state must last so long before it is shown as trouble: a link that blinks is not news. */
const HYSTERESIS = 1500;

let status = null;
let silentSince = null;
let troubleSince = null;
let bar;
let banner;
let syncing = false;
let bad = null;

/** Makes the bar and the banner under it. */
export function build() {
  bar = h('header', { class: 'bar', 'aria-label': t('bar.label') });
  banner = h('div', { class: 'banner', role: 'alert', hidden: true });
  setInterval(show, 500);
  return [bar, banner];
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

let shown = '';

function show() {
  if (!bar) return;
  const wrong = lastingTrouble();
  const now = Date.now();
  const pending = status?.pending ?? 0;
  const attention = status?.needsAttention ?? 0;
  const oldest = status?.oldestPendingMs && pending ? age(now - status.oldestPendingMs) : null;
  const heard = status?.link?.lastSuccessMs ? age(now - status.link.lastSuccessMs) : null;
  const word = wrong === 'silent' ? 'silent'
    : wrong ? 'offline' : status?.connection?.state === 'starting' || !status ? 'starting' : 'online';
  const safe = Boolean(status?.safeToSwitchOff) && silentSince === null;
  // Only what has changed is drawn: a reader that reads aloud is not told the same twice.
  const state = JSON.stringify([wrong, pending, attention, oldest, heard, word, safe, syncing, status?.identity]);
  if (state === shown) return;
  shown = state;
  fill(bar,
    h('span', { class: `pill ${word}`, id: 'link' }, h('i', {}), t(`bar.${word}`)),
    h('span', { class: pending || attention ? 'fact waiting' : 'fact', id: 'pending', 'data-pending': pending },
      h('b', {}, pending ? t('bar.pending', { n: pending })
        : attention ? t('bar.attention', { n: attention }) : t('bar.pendingNone')),
      h('small', {}, oldest ? t('bar.oldest', { age: oldest })
        : heard ? t('bar.lastSuccess', { age: heard }) : t('bar.never'))),
    pending && heard ? h('span', { class: 'fact wide', id: 'heard' },
      h('small', {}, t('bar.lastSuccess', { age: heard }))) : null,
    h('span', { class: 'space' }),
    h('span', {
      class: safe ? 'lamp safe' : 'lamp', id: 'lamp', 'data-safe': String(safe),
      title: t(safe ? 'bar.safeHint' : 'bar.unsafeHint'),
    }, h('i', {}), h('span', {}, t(safe ? 'bar.safe' : 'bar.unsafe'))),
    button([icon('sync'), h('span', {}, t(syncing ? 'bar.syncing' : 'bar.sync'))], sync, {
      id: 'sync', class: syncing ? 'sync busy' : 'sync', 'aria-label': t('bar.syncLabel'),
      'aria-keyshortcuts': 'F8', disabled: syncing,
    }));
  banner.hidden = !wrong;
  const keeps = attention + pending;
  fill(banner, wrong ? [icon('offline'), h('p', {},
    wrong === 'silent' ? h('b', {}, t('banner.silent')) : [
      h('b', { id: 'cause', 'data-cause': wrong }, t('banner.offline', { why: t(`cause.${wrong}`) })), ' ',
      t(keeps ? 'banner.goOn' : 'banner.goOnNone', { n: keeps })])] : []);
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
