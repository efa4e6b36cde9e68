// Keeps the page at hand, so that a reload while the daemon is down shows the till and its basket, and not
// the browser's error. Only the page itself is kept: what the till says is always asked.

const SHELF = 'till-page';

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', (event) => {
  const { pathname, origin } = new URL(event.request.url);
  const page = pathname === '/' || pathname.startsWith('/page/');
  if (event.request.method !== 'GET' || origin !== self.location.origin || !page) return;
  event.respondWith((async () => {
    const shelf = await caches.open(SHELF);
    try {
      const fresh = await fetch(event.request);
      if (fresh.ok) await shelf.put(pathname, fresh.clone());
      return fresh;
    } catch (error) {
      const kept = await shelf.match(pathname);
      if (kept) return kept;
      throw error;
    }
  })());
});
