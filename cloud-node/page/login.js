// Typing the operator's token, once.

import { ask } from './api.js';
import { fill, h } from './dom.js';
import { bad, problem } from './parts.js';
import { t } from './strings.js';

/** Asks for the token until it is right. */
export function login(app, why = null) {
  document.title = t('title', { view: t('login.title') });
  return new Promise((resolve) => {
    const token = h('input', { type: 'password', id: 'token', name: 'token', autocomplete: 'current-password',
      'aria-describedby': 'token-hint' });
    // So that what keeps passwords has a name to keep it under.
    const who = h('input', { type: 'text', name: 'username', autocomplete: 'username', value: 'operator', hidden: true,
      'aria-hidden': true, tabindex: -1, 'aria-label': t('login.token') });
    const wrong = h('div', { class: 'trouble', id: 'login-trouble' });
    const go = h('button', { type: 'submit', class: 'main big', id: 'login' }, t('login.go'));
    const submit = async (event) => {
      event.preventDefault();
      go.disabled = true;
      try {
        if (!token.value.trim()) throw bad(t('login.missing'));
        await ask('POST', '/login', { token: token.value.trim() });
        resolve();
      } catch (error) {
        fill(wrong, problem(error));
        token.select();
        token.focus();
      }
      go.disabled = false;
    };
    fill(app, h('main', { class: 'alone' }, h('form', { class: 'card login', onsubmit: submit },
      h('p', { class: 'brand' }, t('name')), h('h1', {}, t('login.title')), h('p', { class: 'lead' }, t('login.lead')),
      why ? h('p', { class: 'why', role: 'status' }, why) : null,
      who, h('label', { class: 'field' }, h('span', {}, t('login.token')), token,
        h('small', { id: 'token-hint' }, t('login.hint'))),
      wrong, go, h('small', {}, t('login.life')))));
    token.focus();
  });
}
