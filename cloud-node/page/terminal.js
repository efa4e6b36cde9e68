// One till: its journal, its days, where its history parted, and its catalogue.

import { Refused, get, pages, post } from './api.js';
import { button, dialog, h, icon, toast } from './dom.js';
import { tills, token } from './fleet.js';
import { money } from './money.js';
import { ago, complain, empty, head, pill, redraw, show, table, when } from './parts.js';
import * as place from './place.js';
import { showPlan } from './plan.js';
import { finder } from './story.js';
import { t } from './strings.js';

const LISTS = ['journal', 'days', 'forks', 'runs'];

let id;
let site = null;
let acts;
let facts;
let lists;
/** Whether this node can ask its tills to compare their catalogues. */
let verifies = true;

/** Makes the view of one till. */
export function build(terminal) {
  id = terminal;
  site = null;
  acts = h('div', { class: 'acts' });
  facts = h('dl', { class: 'facts card', id: 'till-facts' });
  lists = Object.fromEntries(LISTS.map((name) => [name, h('div', { id: `till-${name}` })]));
  const part = (name, lead) => h('section', { 'aria-labelledby': `h-${name}`, id: `part-${name}` },
    h('h2', { id: `h-${name}` }, t(`till.${name}`)), lead ? h('p', { class: 'lead' }, lead) : null, lists[name]);
  const top = head(id, null);
  top.append(acts);
  return [h('a', { class: 'back', href: '#/fleet' }, icon('back'), t('till.back')), top, facts,
    part('journal', t('till.journalLead')), story(), part('days'), part('runs'), part('forks', t('till.forksLead'))];
}

const story = () => h('section', { 'aria-labelledby': 'h-find' }, h('h2', { id: 'h-find' }, t('story.findTitle')),
  h('p', { class: 'lead' }, t('story.findLead')), finder(id));

/** Fetches and draws all of it. */
export async function refresh() {
  await Promise.all([journal(), days(), forks(), runs()]);
}

async function journal() {
  const path = `/v1/admin/terminals/${encodeURIComponent(id)}/histories`;
  await show(lists.journal, async () => {
    const first = await get(path);
    const { rows } = first.next ? await pages(path, {}, 'histories') : { rows: first.histories };
    const fleet = await tills(place.shop()).catch(() => null);
    return { ...first, rows, row: fleet?.rows.find((row) => row.terminalId === id) };
  }, (told) => told, (told) => {
    site = told;
    about(told);
    if (!told.rows.length) return empty(t('till.journalEmpty'));
    const name = (key) => t(`till.history.${key}`);
    return table(t('till.journal'), [
      { name: name('epoch'), head: true, cell: (row) => String(row.epoch.number) },
      { name: name('head'), end: true, cell: (row) => String(row.head) },
      { name: name('events'), end: true, cell: (row) => String(row.events) },
      { name: name('since'), cell: (row) => when(row.sinceMs) },
      { name: name('seen'), cell: (row) => ago(row.seenMs) },
      { name: name('parent'), wide: true, cell: (row) => (row.parent ? String(row.parent.number) : t('none')) },
      { name: name('hash'), wide: true, cell: (row) => h('code', { title: row.hash }, row.hash.slice(0, 12)) },
    ], [...told.rows].reverse());
  });
}

/** What it is, and what can be done with it. */
function about(told) {
  const gone = told.revoked;
  const fact = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {}, value));
  redraw(facts, [told.branchId, told.sinceMs, told.expiresAtMs, gone, told.row?.needs], () => [
    fact(t('fleet.column.state'), pill(gone ? 'gone' : 'synced', t(gone ? 'fleet.revoked' : 'fleet.active'))),
    fact(t('till.branch'), told.branchId), fact(t('till.enrolled'), when(told.sinceMs)),
    fact(t('till.expires'), told.expiresAtMs ? when(told.expiresAtMs) : t('till.never')),
    told.row?.version ? fact(t('fleet.column.version'), told.row.version) : null,
    told.row?.lastSeenMs ? fact(t('fleet.column.seen'), ago(told.row.lastSeenMs)) : null]);
  redraw(acts, [gone, verifies], () => [
    !gone && verifies ? button(t('till.check'), check, { class: 'main', id: 'verify', 'data-key': 'verify' }) : null,
    button(t(gone ? 'till.admit' : 'till.rotate'), rotate, { id: 'rotate', 'data-key': 'rotate' }),
    gone ? null : button(t('till.revoke'), revoke, { class: 'danger', id: 'revoke', 'data-key': 'revoke' })]);
}

async function days() {
  const after = { terminalId: id, posId: '!', sessionId: '!' };
  await show(lists.days, async () => {
    const answer = await get('/v1/admin/sessions', { shop: place.shop(), ...after });
    return answer.sessions.filter((session) => session.terminalId === id);
  }, (rows) => rows, (rows) => {
    if (!rows.length) return empty(t('till.daysEmpty'));
    const name = (key) => t(`till.day.${key}`);
    const taken = (row) => row.posted.tenders.reduce((sum, part) => sum + part.takenMinor - part.returnedMinor, 0);
    const kinds = { open: 'pending', confirmed: 'synced', difference: 'needsAttention' };
    return table(t('till.days'), [
      { name: name('session'), head: true, cell: (row) => row.sessionId },
      { name: name('pos'), cell: (row) => row.posId },
      { name: name('status'), cell: (row) => pill(kinds[row.status], t(`till.status.${row.status}`)) },
      { name: name('sales'), end: true, cell: (row) => String(row.posted.sales) },
      { name: name('money'), end: true, cell: (row) => money(taken(row), row.currency) },
      { name: name('late'), end: true, cell: (row) => (row.late.events ? t('till.late', { n: row.late.events,
        amount: money(row.late.moneyMinor, row.currency) }) : t('none')) },
    ], [...rows].reverse());
  });
}

async function forks() {
  await show(lists.forks, async () => (await pages('/v1/admin/forks', { shopId: place.shop() }, 'forks', 20)).rows
    .filter((fork) => fork.terminalId === id), (rows) => rows, (rows) => {
    if (!rows.length) return empty(t('till.forksEmpty'));
    const name = (key) => t(`till.fork.${key}`);
    return table(t('till.forks'), [
      { name: name('at'), head: true, cell: (row) => when(row.atMs) },
      { name: name('epoch'), end: true, cell: (row) => String(row.epoch.number) },
      { name: name('common'), end: true, cell: (row) => String(row.common) },
      { name: name('head'), end: true, cell: (row) => String(row.cloudHead) },
      { name: name('successor'), end: true, cell: (row) => String(row.successor.number) },
    ], rows);
  });
}

/** Checks of its catalogue. A node that knows of none has no such part. */
async function runs() {
  try {
    if (!verifies) throw new Refused(404, {});
    const { runs: all } = await get('/v1/admin/reconcile-runs', { shopId: place.shop() });
    const rows = all.filter((run) => run.terminalId === id).sort((a, b) => b.askedAtMs - a.askedAtMs);
    const kinds = { asked: 'pending', clean: 'synced', plan: 'needsAttention', failed: 'needsAttention' };
    const name = (key) => t(`till.run.${key}`);
    redraw(lists.runs, rows, () => (rows.length ? table(t('till.runs'), [
      { name: name('asked'), head: true, cell: (row) => when(row.askedAtMs) },
      { name: name('state'), cell: (row) => pill(kinds[row.state] ?? 'pending', t(`till.runState.${row.state}`)) },
      { name: name('summary'), cell: (row) => row.summary || t('none') },
      { name: '', acts: true, cell: (row) => (row.plan ? button(t('till.showPlan'), () => showPlan(row),
        { 'data-key': String(row.runId) }) : '') },
    ], rows, { id: 'runs', key: (row) => row.runId }) : empty(t('till.runsEmpty'))));
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 404) return;
    verifies = false;
    document.getElementById('part-runs')?.setAttribute('hidden', '');
    if (site) about(site);
  }
}

async function check() {
  try {
    await post(`/v1/admin/terminals/${encodeURIComponent(id)}/verify`);
    toast(t('till.checked'));
  } catch (error) {
    complain(error);
  }
  await runs();
}

/** Asks before something stops working. */
const sure = (title, text, go, danger) => dialog(title, 'small', (close) => h('div', { class: 'sure' },
  h('p', {}, text), h('footer', {}, button(t('cancel'), () => close(false)),
    button(go, () => close(true), { class: danger ? 'main danger' : 'main', id: 'sure' }))));

async function rotate() {
  const gone = site.revoked;
  const what = t(gone ? 'till.admit' : 'till.rotate');
  if (!await sure(what, t(gone ? 'till.admitAsk' : 'till.rotateAsk', { terminal: id }), what, false)) return;
  try {
    await token(await post('/v1/admin/terminals', { terminalId: id, shopId: site.shopId, branchId: site.branchId }));
  } catch (error) {
    complain(error);
  }
  await refresh();
}

async function revoke() {
  if (!await sure(t('till.revoke'), t('till.revokeAsk', { terminal: id }), t('till.revoke'), true)) return;
  try {
    await post(`/v1/admin/terminals/${encodeURIComponent(id)}/revoke`);
    toast(t('till.revoked', { terminal: id }));
  } catch (error) {
    complain(error);
  }
  await refresh();
}
