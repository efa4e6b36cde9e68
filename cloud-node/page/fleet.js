// All tills of a shop; what needs a person comes first.

import { Refused, get, pages, post } from './api.js';
import { age, button, dialog, h, toast } from './dom.js';
import { ago, empty, field, form, head, pill, redraw, search, show, table, when } from './parts.js';
import * as place from './place.js';
import { t } from './strings.js';

/** From here on a person should look: in milliseconds. */
const CLOCK_OFF = 120_000;
const WAITS_LONG = 15 * 60_000;
const SILENT_LONG = 24 * 3_600_000;

let list;
let facts;
let wanted = '';
let call;
/** Whether this node knows how its tills are, or only that they are. */
let knows = true;

/** Makes the view. */
export function build(_, calls) {
  call = calls;
  wanted = '';
  list = h('div', { id: 'fleet' });
  facts = h('p', { class: 'facts', role: 'status' });
  return [head(t('fleet.title'), null, button(t('fleet.enrol'), () => enrol(calls), { id: 'enrol' })),
    h('div', { class: 'tools' },
      search(t('fleet.search'), (text) => { wanted = text.toLowerCase(); refresh(); }), facts),
    list];
}

/** Where there is no shop yet. */
export const welcome = (calls) => [head(t('noShop.title'), t('noShop.text')),
  h('p', {}, button(t('fleet.enrol'), () => enrol(calls), { id: 'enrol', class: 'main' }))];

/** Asks how all tills are. */
export async function tills(shop) {
  if (knows) {
    try {
      const answer = await get('/v1/admin/fleet', { shopId: shop });
      let { next } = answer;
      const rows = [...answer.terminals];
      for (let page = 1; next && page < 20; page += 1) {
        const more = await get('/v1/admin/fleet', { shopId: shop, after: next });
        rows.push(...more.terminals);
        next = more.next;
      }
      return { rows: rows.map(judged(answer.nowMs)), now: answer.nowMs, full: true };
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 404) throw error;
      knows = false;
    }
  }
  const [{ rows }, forks] = await Promise.all([pages('/v1/admin/terminals', { shopId: shop }, 'terminals', 20),
    pages('/v1/admin/forks', { shopId: shop }, 'forks', 20)]);
  const parted = (id) => forks.rows.filter((fork) => fork.terminalId === id).length;
  return { rows: rows.map((row) => ({ ...row, active: !row.revoked, forks: parted(row.terminalId) }))
    .map(judged(Date.now())), now: Date.now(), full: false };
}

const many = (value) => (Array.isArray(value) ? value.length : value ?? 0);
const number = (value) => (typeof value === 'object' && value !== null ? value.number : value);

/** Adds what a person should look at; the first is the worst. */
const judged = (now) => (row) => {
  const needs = [];
  const add = (kind, span, bad = true) => needs.push({ kind, age: span, bad });
  if (row.active) {
    if (Math.abs(row.clockOffsetMs ?? 0) > CLOCK_OFF) add('clock', Math.abs(row.clockOffsetMs));
    if ((row.oldestAgeMs ?? 0) > WAITS_LONG) add('waits', row.oldestAgeMs);
    if (row.lastSeenMs && !row.live && now - row.lastSeenMs > SILENT_LONG) add('silent', now - row.lastSeenMs);
    if (many(row.forks)) add('forks', 0, false);
    if ('lastSeenMs' in row && row.lastSeenMs === null) add('never', 0, false);
  }
  const rank = !row.active ? 3 : needs.some((need) => need.bad) ? 0 : needs.length ? 1 : 2;
  return { ...row, needs, rank };
};

const order = (a, b) => a.rank - b.rank || a.branchId.localeCompare(b.branchId)
  || a.terminalId.localeCompare(b.terminalId, undefined, { numeric: true });

const text = (need) => t(`fleet.need.${need.kind}`, { age: age(need.age) });

/** What is known of a till, each as a column. */
function columns(full, now, rows) {
  const name = (key) => t(`fleet.column.${key}`);
  const unknown = (value, make) => (value === null || value === undefined ? t('none') : make(value));
  const first = [
    { name: name('terminal'), head: true, cell: (row) => [h('a', { href: `#/till/${encodeURIComponent(row.terminalId)}`,
      'data-key': row.terminalId }, row.terminalId), h('small', {}, row.branchId)] },
    { name: name('state'), cell: (row) => [
      pill(row.active ? 'synced' : 'gone', t(row.active ? 'fleet.active' : 'fleet.revoked')),
      row.live ? h('small', { class: 'live' }, t('fleet.live')) : null] },
    { name: name('needs'), cell: (row) => (row.needs.length
      ? row.needs.map((need) => pill(need.bad ? 'needsAttention' : 'pending', text(need))) : '') },
  ].slice(0, rows.some((row) => row.needs.length) ? 3 : 2);
  if (!full) {
    return [...first, { name: name('since'), cell: (row) => when(row.sinceMs) },
      { name: name('histories'), end: true, cell: (row) => row.histories }];
  }
  const clock = (offset) => (Math.abs(offset) < 2000 ? t('fleet.onTime')
    : t(offset > 0 ? 'fleet.ahead' : 'fleet.behind', { age: age(Math.abs(offset)) }));
  const waits = (row) => unknown(row.pending, (n) => (!n ? t('fleet.pendingNone')
    : row.oldestAgeMs ? t('fleet.pending', { n, age: age(row.oldestAgeMs) }) : t('fleet.pendingOnly', { n })));
  return [...first,
    { name: name('seen'), cell: (row) => (row.lastSeenMs ? ago(row.lastSeenMs, now)
      : t(row.active ? 'fleet.never' : 'none')) },
    { name: name('pending'), cell: waits },
    { name: name('clock'), wide: true, cell: (row) => unknown(row.clockOffsetMs, clock) },
    { name: name('chain'), wide: true, cell: (row) => unknown(number(row.epoch),
      (epoch) => t('fleet.chain', { epoch, seq: row.journalSeq ?? t('none') })) },
    { name: name('forks'), end: true, wide: true, cell: (row) => unknown(row.forks, many) },
    { name: name('version'), wide: true, cell: (row) => row.version || t('none') }];
}

/** Fetches and draws. */
export async function refresh() {
  const here = place.branch();
  const within = (row) => [row.terminalId, row.branchId, row.version ?? '']
    .some((part) => part.toLowerCase().includes(wanted));
  await show(list, () => tills(place.shop()), ({ rows, now }) => [rows, Math.floor(now / 5000), here, wanted],
    ({ rows, now, full }) => {
      const all = rows.filter((row) => !here || row.branchId === here).sort(order);
      const found = all.filter(within);
      const bad = all.filter((row) => row.rank < 2).length;
      const word = bad ? t('fleet.attention', { n: bad }) : full ? t('fleet.fine') : '';
      redraw(facts, [all.length, word], () => [
        h('b', {}, all.length === 1 ? t('fleet.one') : t('fleet.count', { n: all.length })),
        h('span', { class: bad ? 'off' : 'fine' }, word)]);
      if (!all.length) return empty(t('fleet.empty'));
      if (!found.length) return empty(t('fleet.found'));
      return [table(t('fleet.title'), columns(full, now, found), found,
        { key: (row) => row.terminalId, kind: (row) => ['bad', 'soft', '', 'gone'][row.rank] }),
      full ? null : h('p', { class: 'hint' }, t('fleet.plain'))];
    });
}

/** Enrols a till, and shows its token once. */
async function enrol(calls) {
  const made = await form(t('enrol.title'), [
    field({ name: 'terminal', label: t('enrol.terminal'), maxlength: 36, hint: t('enrol.hint') }),
    field({ name: 'shop', label: t('enrol.shop'), maxlength: 36, value: place.shop() }),
    field({ name: 'branch', label: t('enrol.branch'), maxlength: 36, value: place.branch() }),
  ], t('enrol.go'), ({ terminal, shop, branch }) =>
    post('/v1/admin/terminals', { terminalId: terminal, shopId: shop, branchId: branch }), { id: 'enrol-form' });
  if (!made) return;
  await token(made);
  await calls.places(made.shopId, place.branch());
}

/** Shows a token, once. */
export async function token(made) {
  await dialog(t('enrol.done', { terminal: made.terminalId }), 'small', (close) => {
    const input = h('input', { readonly: true, value: made.token, id: 'secret', 'aria-label': t('enrol.done',
      { terminal: made.terminalId }), onfocus: () => input.select() });
    const copy = async () => {
      input.select();
      try {
        await navigator.clipboard.writeText(made.token);
        toast(t('enrol.copied'));
      } catch { /* it is marked: Ctrl+C */ }
    };
    return h('form', { onsubmit: (event) => event.preventDefault() }, h('p', { class: 'lead' }, t('enrol.once')), input,
      h('footer', {}, button(t('enrol.copy'), copy), button(t('close'), () => close(), { class: 'main' })));
  });
}
