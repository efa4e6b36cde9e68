// Keeps the page for days without a network: all of one version, or nothing of it.
// A newer version is kept beside this one, and takes over when the last tab is closed.

const CACHE = 'counterfoil-till-@VERSION@';
const FILES = ['./', 'style.css', 'main.js', 'engine.js', 'link.js', 'rows.js', 'sums.js',
  'till.js', 'till_bg.wasm'];

addEventListener('install', (event) => {
  const fresh = FILES.map((name) => new Request(name, { cache: 'reload' }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)));
});

addEventListener('activate', (event) => {
  const older = (names) => names.filter((name) => name.startsWith('counterfoil-till-') && name !== CACHE);
  event.waitUntil(caches.keys()
    .then((names) => Promise.all(older(names).map((name) => caches.delete(name))))
    .then(() => clients.claim()));
});

addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || !request.url.startsWith(registration.scope)) return;
  event.respondWith(caches.open(CACHE)
    .then((cache) => cache.match(request, { ignoreSearch: true }))
    .then((kept) => kept ?? fetch(request)));
});
