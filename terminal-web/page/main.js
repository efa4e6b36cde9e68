// The page of the till in a browser: it enrols, sells, and shows what is in the cloud.

import { Engine, load } from './engine.js';
import { Link } from './link.js';
import { open, openBeside } from './rows.js';
import { amount, minor } from './sums.js';

// What is kept beside the rows: the witness of who wrote them last, and what was about to be sold,
// which is said again after a crash, under the same name.
const WITNESS = 'witness';
const DRAFT = 'draft';
const LOCK = 'counterfoil-till';

const at = (id) => document.getElementById(id);
const stage = (name) => { document.body.dataset.stage = name; };

let place = null;
let beside = null;
let engine = null;
let link = null;
let stopped = false;

function say(id, text) {
  at(id).textContent = text;
  at(id).hidden = !text;
}

// Nothing may be sold from here on: what would be printed might not be kept.
function stop(why) {
  if (stopped) return; // what fails after the first failure comes of it
  stopped = true;
  stage('stopped');
  say('stop', why);
  at('complete').disabled = true;
}

const WHAT_TO_DO = {
  reopen: 'Reload the page: the till looks what was kept. If the disk is full, make room first.',
  export: 'Do not sell on this browser. Keep its profile, and call whoever runs the tills.',
  reload: 'Reload the page.',
  install: 'Enrol this browser, or clear its data if it was another till.',
};

function failed(told) {
  if (told.is !== 'failed') return false;
  stop(`${told.why}. ${WHAT_TO_DO[told.then]}`);
  return true;
}

async function show() {
  const seen = await engine.run({ look: { limit: 50 } });
  if (failed(seen)) return;
  at('name').textContent = `${seen.identity.terminal} · ${seen.identity.branch}`;
  at('epoch').textContent = `epoch ${seen.epoch.number}`;
  at('pending').textContent = seen.pending
    ? `${seen.pending} not in the cloud yet` : 'all in the cloud';
  document.body.dataset.pending = seen.pending;
  document.body.dataset.epoch = seen.epoch.number;
  at('rows').replaceChildren(...seen.sales.map(row));
}

const STATES = { queued: 'on this disk', synced: 'in the cloud', needsAttention: 'needs attention' };

function row(sale) {
  const line = document.createElement('tr');
  line.dataset.state = sale.state;
  const time = new Date(sale.atMs).toLocaleTimeString();
  const state = STATES[sale.state] + (sale.code ? `: ${sale.code}` : '');
  for (const text of [sale.receipt ?? '', time, amount(sale.totalMinor, sale.currency), state, '']) {
    line.insertCell().textContent = text;
  }
  if (sale.state === 'needsAttention') {
    const again = document.createElement('button');
    again.textContent = 'Try again';
    again.onclick = () => retry(sale);
    line.lastChild.append(again);
  }
  return line;
}

async function retry({ posId, localEventId }) {
  if (!failed(await engine.run({ retry: { pos: posId, localEventId } }))) link.nudge('manual');
}

async function changed(told) {
  if (failed(told)) return;
  if (told.is === 'rests') {
    const offline = told.fault ?? (navigator.onLine ? '' : 'this computer has no network');
    say('banner', offline && `Offline: ${offline}. Sales are kept here and sent later.`);
  }
  await show();
}

// Sells what the draft says. It may have been sold already: then the receipt is the same.
async function sellDraft() {
  const told = await engine.run({ sell: await beside.get(DRAFT) });
  if (failed(told)) return;
  await beside.forget(DRAFT);
  await show();
  at('receipt').textContent = told.is === 'sold' ? `Receipt ${told.receipt}` : told.why;
  link.nudge('recorded');
}

async function sell(event) {
  event.preventDefault();
  const [price, quantity] = [minor(at('price').value, place.currency), Number(at('quantity').value)];
  if (price === null || !Number.isSafeInteger(quantity) || quantity < 1 || quantity > 1e6) {
    at('receipt').textContent = 'Look at price and quantity.';
    return;
  }
  const line = {
    productId: at('product').value.trim(), name: at('label').value.trim(),
    quantityMilli: quantity * 1000, unitPriceMinor: price,
  };
  const draft = {
    posId: 'web', localEventId: crypto.randomUUID(), atMs: Date.now(), currency: place.currency,
    lines: [line],
  };
  at('complete').disabled = true;
  try {
    await beside.keep(DRAFT, draft);
    await sellDraft();
  } finally {
    at('complete').disabled = stopped;
  }
}

async function enrol(rows, event) {
  event.preventDefault();
  const identity = {
    shop: at('shop').value.trim(), branch: at('branch').value.trim(),
    terminal: at('terminal').value.trim(),
  };
  engine = new Engine(rows);
  const told = await engine.run({ install: { identity } });
  if (failed(told)) return;
  // Of a database that was there before, the witness that stands is the proof: it is left alone.
  if (told.witness) await beside.keep(WITNESS, told.witness);
  const wanted = { currency: at('currency').value.trim(), credential: at('credential').value.trim() };
  await rows.keepPlace(wanted);
  at('credential').value = '';
  location.reload();
}

async function start(rows) {
  engine = new Engine(rows);
  const told = await engine.run({ open: { witness: await beside.get(WITNESS) ?? null } });
  if (failed(told)) return;
  await beside.keep(WITNESS, told.witness);
  const parted = told.parted && `This database was ${told.parted} since it was last open here: `
    + 'a new series of receipts begins. Nothing is lost.';
  say('note', parted ?? '');
  link = new Link(engine, place.credential, changed);
  at('sync').hidden = false;
  at('sell').hidden = false;
  at('sales').hidden = false;
  at('sell').onsubmit = (event) => sell(event).catch((error) => stop(String(error)));
  at('sync').onclick = () => link.nudge('manual');
  if (await beside.get(DRAFT)) await sellDraft(); else await show();
  if (!stopped) stage('open');
  link.nudge('wake').catch((error) => stop(String(error)));
}

async function main() {
  const lost = () => stop('The browser has given up the database of this till. '
    + 'What was not in the cloud may be lost: look at it with whoever runs the tills.');
  const rows = await open(lost);
  beside = await openBeside(lost);
  await load();
  place = await rows.place();
  if (place) return start(rows);
  if (await beside.get(WITNESS)) {
    say('note', 'This browser was a till, and its database is gone: sales that were not in the '
      + 'cloud are lost here. Enrol it again to sell.');
  }
  at('enrol').hidden = false;
  at('enrol').onsubmit = (event) => enrol(rows, event).catch((error) => stop(String(error)));
  stage('enrol');
  return null;
}

// So that the page is there without a network, and its data is not thrown away for room.
async function settle() {
  document.body.dataset.persisted = await navigator.storage?.persist?.() ?? false;
  await navigator.serviceWorker?.register('./sw.js');
  await navigator.serviceWorker?.ready;
  document.body.dataset.offline = 'ready';
}

if (!globalThis.isSecureContext || !navigator.locks) {
  stop('Open this page over https, or on this machine: the browser keeps nothing safe otherwise.');
} else {
  stage('waiting');
  // The lock of nobody is had at once: only who really waits is told so.
  const waits = setTimeout(() => say('note',
    'This till is open in another tab. It opens here when that one is closed.'), 300);
  // Two tabs are never two writers. The lock is held until the page is gone.
  navigator.locks.request(LOCK, async () => {
    clearTimeout(waits);
    say('note', '');
    await main().catch((error) => stop(String(error)));
    await new Promise(() => {});
  });
  settle().catch(() => { document.body.dataset.offline = 'no'; });
}
