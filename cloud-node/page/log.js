// What operators did.

import { get } from './api.js';
import { button, h } from './dom.js';
import { empty, head, pill, show, table, when } from './parts.js';
import { has, t } from './strings.js';

let list;
let pages = 1;

/** Makes the view. */
export function build() {
  pages = 1;
  list = h('div', { id: 'log' });
  return [head(t('log.title'), t('log.lead')), list];
}

/** Fetches and draws. */
export async function refresh() {
  await show(list, async () => {
    const rows = [];
    let before = null;
    for (let page = 0; page < pages; page += 1) {
      const answer = await get('/v1/admin/log', { before });
      rows.push(...answer.entries);
      before = answer.next;
      if (!before) break;
    }
    return { rows, more: before };
  }, (told) => told, ({ rows, more }) => {
    if (!rows.length) return empty(t('log.empty'));
    const name = (key) => t(`log.column.${key}`);
    return [table(t('log.title'), [
      { name: name('at'), head: true, cell: (row) => when(Date.parse(row.at), 'medium') },
      { name: name('actor'), wide: true, cell: (row) => row.actor },
      { name: name('action'),
        cell: (row) => (has(`log.action.${row.action}`) ? t(`log.action.${row.action}`) : row.action) },
      { name: name('target'), cell: (row) => h('span', { class: 'target' }, row.target) },
      { name: name('shop'), wide: true, cell: (row) => row.shopId ?? '' },
      { name: name('done'),
        cell: (row) => pill(row.done ? 'synced' : 'pending', t(row.done ? 'log.done' : 'log.not')) },
    ], rows, { key: (row) => String(row.number) }),
    more ? h('p', {}, button(t('more'), () => { pages += 1; refresh(); }, { 'data-key': 'more' })) : null];
  });
}
