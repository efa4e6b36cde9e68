// What several views are made of: heads, tables, states, forms.

import { Refused, get } from './api.js';
import { age, button, dialog, draw, fill, h, icon, time, toast } from './dom.js';
import { t } from './strings.js';

/** The head of a view, with what can be done there. */
export const head = (title, lead, ...acts) => h('header', { class: 'head' },
  h('div', {}, h('h1', { tabindex: '-1' }, title), lead ? h('p', { class: 'lead' }, lead) : null),
  acts.length ? h('div', { class: 'acts' }, acts) : null);

/** What went wrong: in words, with its code. */
export const problem = (error) => h('p', { class: 'card bad', role: 'alert' },
  h('span', {}, error.status ? error.message : t('silent')), error.code ? [' ', h('code', {}, error.code)] : null);

/** The same for a while, where nothing else shows it. */
export const complain = (error) => toast(h('span', {}, error.status ? error.message : t('silent'),
  error.code ? [' ', h('code', {}, error.code)] : null), { bad: true });

/** What a form says of its own fields. */
export const bad = (text) => new Refused(1, { detail: text });

/** Nothing is here, and what to do about it. */
export const empty = (text) => h('p', { class: 'card empty' }, text);

/** A state as a coloured word. */
export const pill = (kind, text) => h('span', { class: `state ${kind}` }, text);

/** A time, and how long ago that was. */
export const when = (millis, style) => (millis === null || millis === undefined ? t('none')
  : h('time', { datetime: new Date(millis).toISOString() }, time(millis, style)));
export const ago = (millis, now = Date.now()) => h('time',
  { datetime: new Date(millis).toISOString(), title: time(millis, 'medium') }, t('ago', { age: age(now - millis) }));

/**
 * A table. A column has a name, a function from a row to a cell, and perhaps `head` (it names the row), `end` (a
 * number) or `acts` (buttons). On a phone each row is a card, so each cell says its column.
 */
export function table(label, columns, rows, { id, key, kind } = {}) {
  const cell = (column, row) => {
    const content = column.cell(row);
    const blank = content === '' || content === null || content === t('none');
    return h(column.head ? 'th' : 'td', {
      'data-label': column.name || false, scope: column.head ? 'row' : false, role: column.head ? 'rowheader' : 'cell',
      class: [column.end && 'end', column.acts && 'acts', blank && 'blank', column.wide && 'wide']
        .filter(Boolean).join(' ') || false,
    }, content);
  };
  return h('table', { role: 'table', 'aria-label': label, id: id ?? false },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map((column) => h('th', {
      scope: 'col', role: 'columnheader',
      class: [column.end && 'end', column.wide && 'wide'].filter(Boolean).join(' ') || false,
    }, column.name)))),
    h('tbody', { role: 'rowgroup' }, rows.map((row) => h('tr', {
      role: 'row', 'data-row': key ? key(row) : false, class: kind?.(row) || false,
    }, columns.map((column) => cell(column, row))))));
}

/** Draws anew what has changed, and gives the focus back to who had it. */
export function redraw(element, state, make) {
  const active = document.activeElement;
  const held = element.contains(active) ? active.dataset.key : undefined;
  draw(element, state, make);
  if (held && !element.contains(document.activeElement)) {
    element.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus();
  }
}

/** Shows what a view asks for, or what went wrong. */
export async function show(place, ask, state, make) {
  try {
    const answer = await ask();
    redraw(place, state(answer), () => make(answer));
  } catch (error) {
    redraw(place, String([error.status, error.message]), () => problem(error));
  }
}

/** A field that searches while one types. */
export function search(label, act) {
  let due;
  const input = h('input', { type: 'search', placeholder: label, 'aria-label': label, autocomplete: 'off', id: 'search',
    maxlength: 100, oninput: () => { clearTimeout(due); due = setTimeout(() => act(input.value.trim()), 150); } });
  return h('div', { class: 'search' }, icon('search'), input);
}

/** A few choices of which one holds. */
export function choices(label, options, chosen, act) {
  const buttons = options.map(([value, text]) => button(text, () => {
    for (const one of buttons) one.setAttribute('aria-pressed', String(one.dataset.value === value));
    act(value);
  }, { class: 'chip', 'data-value': value, 'aria-pressed': String(value === chosen) }));
  return h('div', { class: 'chips', role: 'group', 'aria-label': label }, buttons);
}

/** A labelled field of a form. `kind` is `text`, `select`, `radio`, `check` or a type of an input. */
export function field({ name, label, kind = 'text', value = '', hint, options = [], ...more }) {
  const id = `field-${name}`;
  const described = hint ? `${id}-hint` : false;
  const note = hint ? h('small', { id: described }, hint) : null;
  if (kind === 'radio') {
    return h('fieldset', { class: 'field' }, h('legend', {}, label), h('div', { class: 'radios' },
      options.map(([option, text]) => h('label', { class: 'radio' },
        h('input', { type: 'radio', name, value: option, checked: option === value }), h('span', {}, text)))), note);
  }
  if (kind === 'check') {
    return h('label', { class: 'check' }, h('input', { type: 'checkbox', name, id, checked: Boolean(value) }),
      h('span', {}, label));
  }
  if (kind === 'select') {
    return h('label', { class: 'field' }, h('span', {}, label), h('select', { name, id, 'aria-describedby': described },
      options.map(([option, text]) => h('option', { value: option, selected: option === value }, text))), note);
  }
  return h('label', { class: 'field' }, h('span', {}, label), h('input', {
    type: kind, name, id, value: kind === 'file' ? false : value, autocomplete: 'off', spellcheck: 'false',
    'aria-describedby': described, ...more }), note);
}

/** What stands in a form. */
export const values = (form) => Object.fromEntries([...new FormData(form)].map(
  ([name, value]) => [name, typeof value === 'string' ? value.trim() : value]));

/** A form in a window. `send` returns what the window closes with, or fails with what is then shown in it. */
export function form(title, fields, go, send, { lead, id, danger = false, kind = 'small' } = {}) {
  return dialog(title, kind, (close) => {
    const wrong = h('div', { class: 'trouble' });
    const submit = h('button',
      { type: 'submit', class: danger ? 'main danger' : 'main', id: id ? `${id}-go` : false }, go);
    const attempt = async (event) => {
      event.preventDefault();
      submit.disabled = true;
      fill(wrong);
      try {
        close(await send(values(whole), whole));
      } catch (error) {
        fill(wrong, problem(error));
        submit.disabled = false;
      }
    };
    const attributes = { id: id ?? false, novalidate: true, oninput: () => fill(wrong), onsubmit: attempt };
    const whole = h('form', attributes, lead ? h('p', { class: 'lead' }, lead) : null, fields, wrong,
      h('footer', {}, button(t('cancel'), () => close()), submit));
    return whole;
  });
}

/** A field for the number of a product, with suggestions by name. */
export function productField(shop, { name = 'product', label, value = '', ...more }) {
  const list = h('datalist', { id: `list-${name}` });
  let due;
  const suggest = async (text) => {
    try {
      const { entities } = await get('/v1/admin/catalog', { shopId: shop, search: text });
      fill(list, entities.slice(0, 20).map(({ entity }) =>
        h('option', { value: entity.product.productId }, entity.product.name)));
    } catch { /* it can be typed without them */ }
  };
  return [field({ name, label, value, list: list.id, maxlength: 36, required: true,
    oninput: (event) => { clearTimeout(due); due = setTimeout(() => suggest(event.target.value.trim()), 200); },
    ...more }), list];
}

/** A name that nobody has used: 128 random bits. (`randomUUID` is only there on encrypted links.) */
export const freshId = () => [...crypto.getRandomValues(new Uint8Array(16))]
  .map((byte) => byte.toString(16).padStart(2, '0')).join('');
