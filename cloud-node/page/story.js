// The story of one event: what the cloud holds of it, what happened to it, and what nobody here can know.

import { get } from './api.js';
import { h, icon } from './dom.js';
import { money, quantity } from './money.js';
import { ago, empty, field, head, pill, redraw, show, table, when } from './parts.js';
import * as place from './place.js';
import { has, t } from './strings.js';

const KINDS = {
  posted: 'synced', waits: 'pending', rejected: 'needsAttention', refused: 'needsAttention', withdrawn: 'gone',
};

let key;
let parts;

/** The address of an event's story. */
export const address = ({ terminalId, posId, localEventId }) =>
  `#/story/${[terminalId, posId, localEventId].map(encodeURIComponent).join('/')}`;

/** A link to an event's story. */
export const link = (event, text, more = {}) => h('a', { href: address(event), ...more }, text);

/** Asks which event of a till, and goes to its story. */
export function finder(terminalId) {
  const find = (event) => {
    event.preventDefault();
    const { pos, event: id } = Object.fromEntries(new FormData(event.target));
    if (pos.trim() && id.trim()) {
      location.hash = address({ terminalId, posId: pos.trim(), localEventId: id.trim() });
    }
  };
  return h('form', { class: 'find', id: 'find-story', onsubmit: find },
    field({ name: 'pos', label: t('story.pos'), maxlength: 36, required: true }),
    field({ name: 'event', label: t('story.event'), maxlength: 36, required: true }),
    h('button', { type: 'submit' }, t('story.find')));
}

/** Makes the view. What is shown is named by the address, each name by itself. */
export function build() {
  const [terminalId = '', posId = '', localEventId = ''] =
    location.hash.split('/').slice(2).map(decodeURIComponent);
  key = { terminalId, posId, localEventId };
  parts = { facts: h('div', { id: 'story-facts' }), whole: h('div', { class: 'stack', id: 'story' }) };
  const back = h('a', { class: 'back', href: `#/till/${encodeURIComponent(terminalId)}` }, icon('back'),
    t('story.back', { terminal: terminalId }));
  return [back, head(t('story.title', { id: localEventId }), t('story.lead')), parts.facts, parts.whole];
}

/** Fetches and draws. */
export async function refresh() {
  await show(parts.whole, () => get('/v1/admin/explain', { ...key, shopId: place.shop() }), (told) => told, (told) => {
    redraw(parts.facts, told, () => facts(told));
    return [steps(told), others(told), moved(told), conflicts(told), unknown(told)];
  });
}

function facts(told) {
  const fact = (name, value) => (value === null || value === undefined || value === '' ? null
    : h('div', {}, h('dt', {}, t(`story.fact.${name}`)), h('dd', {}, value)));
  const { journal, decision, terminal } = told;
  const kind = told.kind && has(`story.kind.${told.kind}`) ? t(`story.kind.${told.kind}`) : told.kind;
  return h('dl', { class: 'facts card' },
    fact('state', [pill(KINDS[told.state] ?? 'pending', t(`story.state.${told.state}`)),
      told.code ? [' ', h('code', {}, told.code)] : null]),
    fact('kind', kind), fact('total', told.totalMinor === null ? null : money(told.totalMinor, told.currency)),
    fact('order', told.orderId), fact('receipt', told.receipt), fact('reference', told.reference),
    fact('branch', told.branchId), fact('session', told.sessionId), fact('customer', told.customerId),
    fact('made', told.atMs === null ? null : when(told.atMs, 'medium')),
    fact('received', told.receivedMs === null ? null : when(told.receivedMs, 'medium')),
    fact('waiting', told.waitingSinceMs === null ? null : ago(told.waitingSinceMs)),
    fact('decision', decision
      ? `${t(decision.accepted ? 'story.accepted' : 'story.rejected')} ${decision.reason}` : null),
    fact('journal', journal ? t(journal.holds ? 'story.place' : 'story.notHeld',
      { seq: journal.seq, epoch: journal.epoch.number, segment: journal.segment }) : null),
    fact('chain', journal?.chainHash ? h('code', { title: journal.chainHash }, journal.chainHash.slice(0, 12)) : null),
    fact('server', told.serverId ? h('code', { title: told.serverId }, told.serverId.slice(0, 12)) : null),
    fact('till', terminal?.revoked ? t('fleet.revoked') : null));
}

const section = (name, ...content) => h('section', { 'aria-labelledby': `h-${name}`, id: `story-${name}` },
  h('h2', { id: `h-${name}` }, t(`story.${name}`)), content);

function steps(told) {
  if (!told.steps.length) return section('steps', empty(t('story.noSteps')));
  return section('steps', table(t('story.steps'), [
    { name: t('story.at'), head: true, cell: (row) => when(row.atMs, 'medium') },
    { name: t('story.what'), cell: (row) => row.text },
  ], told.steps));
}

/** Events that have to do with it, each with a way to its own story. */
function others(told) {
  const rows = [['original', told.original ? [told.original] : []], ['refunds', told.refunds],
    ['corrects', told.corrects], ['withdrawnBy', told.withdrawnBy ? [told.withdrawnBy] : []]]
    .flatMap(([relation, events]) => events.map((row) => ({ ...row, relation })));
  if (!rows.length) return null;
  return section('others', table(t('story.others'), [
    { name: t('story.event'), head: true,
      cell: (row) => link(row.event, `${row.event.terminalId} · ${row.event.localEventId}`) },
    { name: t('story.relates'), cell: (row) => t(`story.relation.${row.relation}`) },
    { name: t('story.fact.state'), cell: (row) => (row.state
      ? pill(KINDS[row.state], t(`story.state.${row.state}`)) : t('story.notCome')) },
    { name: t('story.fact.total'), end: true,
      cell: (row) => (row.totalMinor === null || !told.currency ? t('none') : money(row.totalMinor, told.currency)) },
  ], rows));
}

function moved(told) {
  if (!told.movements.length) return null;
  const placeOf = (row) => told.relayed.find((one) => one.productId === row.productId)?.place;
  return section('moved', table(t('story.moved'), [
    { name: t('story.product'), head: true, cell: (row) => row.productId },
    { name: t('story.by'), end: true, cell: (row) => quantity(row.deltaMilli) },
    { name: t('story.relayed'), end: true, cell: (row) => placeOf(row)?.toString() ?? t('none') },
  ], told.movements));
}

function conflicts(told) {
  if (!told.conflicts.length) return null;
  return section('conflicts', h('p', { class: 'lead' }, t('story.conflictsLead')), table(t('story.conflicts'), [
    { name: t('story.at'), head: true, cell: (row) => when(row.atMs, 'medium') },
    { name: t('story.fact.kind'), cell: (row) => row.kind ?? t('none') },
    { name: t('story.fact.total'), end: true,
      cell: (row) => (row.totalMinor === null || !told.currency ? t('none') : money(row.totalMinor, told.currency)) },
    { name: t('story.hash'), wide: true,
      cell: (row) => h('code', { title: row.payloadHash }, row.payloadHash.slice(0, 12)) },
  ], told.conflicts));
}

const unknown = (told) => section('unknown', h('p', { class: 'lead' }, t('story.unknownLead')),
  h('ul', { class: 'changes' }, told.unknown.map((text) => h('li', {}, text))));
