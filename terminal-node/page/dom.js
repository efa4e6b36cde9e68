// A few lines in place of a framework. Text only ever becomes text.

import { t, has } from './strings.js';

const SVG = 'http://www.w3.org/2000/svg';

/** Makes an element. Attributes that are functions listen; `false` and null are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === 'function') element.addEventListener(name.replace(/^on/, ''), value);
    else if (name === 'value' || name === 'checked') element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== false));
  return element;
}

export const PATHS = {
  sell: 'M4 5h2l2 10h9l2-7H7M9 19.5a.5.5 0 1 1-1 0 .5.5 0 0 1 1 0zm8 0a.5.5 0 1 1-1 0 .5.5 0 0 1 1 0z',
  sales: 'M6 3h12v18l-2-1.5-2 1.5-2-1.5-2 1.5-2-1.5L6 21zM9 8h6M9 12h6',
  attention: 'M12 4l9 16H3zM12 10v4M12 17v.5',
  drawer: 'M4 10h16v9H4zM7 10l1-5h8l1 5M10 14.5h4',
  check: 'M4 6h9M4 11h6M4 16h5M13 16l3 3 5-7',
  sync: 'M20 11a8 8 0 0 0-14-4L4 9m0-5v5h5M4 13a8 8 0 0 0 14 4l2-2m0 5v-5h-5',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4',
  close: 'M6 6l12 12M18 6L6 18',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  offline: 'M3 9a14 14 0 0 1 18 0M6.5 12.5a9 9 0 0 1 11 0M10 16a4 4 0 0 1 4 0M12 19v.5M4 4l16 16',
  print: 'M7 9V4h10v5M7 17H4V9h16v8h-3M7 14h10v6H7z',
};

/** Draws an icon; it says nothing to who cannot see it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

/** Puts other content in place of an element's. */
export const fill = (element, ...children) =>
  element.replaceChildren(...children.flat(4).filter((child) => child !== null && child !== false));

const drawn = new WeakMap();

/** Draws an element's content anew only if what it shows has changed: nothing moves under a finger, and what
 * reads aloud says nothing twice. */
export function draw(element, state, make) {
  const now = JSON.stringify(state);
  if (drawn.get(element) === now) return;
  drawn.set(element, now);
  fill(element, make());
}

/** A button that does something. */
export const button = (label, act, attributes = {}) =>
  h('button', { type: 'button', onclick: act, ...attributes }, label);

/** A labelled field. */
export function field(label, attributes = {}) {
  const input = h('input', { type: 'text', autocomplete: 'off', ...attributes });
  return { input, row: h('label', { class: 'field' }, h('span', {}, label), input) };
}

/** Says something for a while; with an action if one is given. */
export function toast(text, { bad = false, action = null, act = null } = {}) {
  const note = h('div', { class: bad ? 'toast bad' : 'toast' }, h('span', {}, text));
  if (action) note.append(button(action, () => { note.remove(); act(); }));
  document.getElementById('toasts').append(note);
  setTimeout(() => note.remove(), action || bad ? 8000 : 3500);
  return note;
}

/** Opens a dialog. `build` gets a function that closes it. It returns when it is closed, with that value. */
export function dialog(title, kind, build) {
  return new Promise((resolve) => {
    const box = h('dialog', { class: `box ${kind}`, 'aria-label': title });
    let answer;
    const close = (value) => { answer = value; box.close(); };
    box.addEventListener('close', () => { box.remove(); resolve(answer); });
    const head = h('header', {}, h('h2', {}, title),
      h('button', { type: 'button', class: 'quiet', 'aria-label': t('close'), onclick: () => close() }, icon('close')));
    box.append(head, ...[build(close, box)].flat());
    document.body.append(box);
    box.showModal();
  });
}

/** Asks yes or no. */
export const ask = (text, yes = t('yes')) => dialog(text, 'small', (close) => h('footer', {},
  button(t('cancel'), () => close(false)),
  button(yes, () => close(true), { class: 'main', autofocus: true })));

/** Writes how long something took. */
export function age(millis) {
  const seconds = Math.max(0, Math.floor(millis / 1000));
  if (seconds < 2) return t('age.now');
  if (seconds < 120) return t('age.seconds', { n: seconds });
  if (seconds < 7200) return t('age.minutes', { n: Math.floor(seconds / 60) });
  if (seconds < 172800) return t('age.hours', { n: Math.floor(seconds / 3600) });
  return t('age.days', { n: Math.floor(seconds / 86400) });
}

/** Writes a time of the till. */
export const time = (millis, style = 'short') =>
  new Date(millis).toLocaleString(document.documentElement.lang, { dateStyle: 'medium', timeStyle: style });

/** Returns the text of a kind of event. */
export const kindOf = (kind) => (has(`attention.kinds.${kind}`) ? t(`attention.kinds.${kind}`) : t('attention.other'));
