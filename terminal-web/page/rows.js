// The till's rows in IndexedDB: one object store, key bytes to framed record bytes.
//
// A commit is one read-write transaction: it reads what the till decides on, writes, and is done
// when the browser says `complete` with durability "strict": then it lies on the disk.

const NAME = 'counterfoil';
const ROWS = 'rows';
const PLACE = 'place';
const STRICT = { durability: 'strict' };

export function open(onLost) {
  return new Promise((resolve, reject) => {
    const asking = indexedDB.open(NAME, 1);
    asking.onupgradeneeded = () => {
      asking.result.createObjectStore(ROWS);
      asking.result.createObjectStore(PLACE);
    };
    asking.onerror = () => reject(asking.error);
    asking.onblocked = () => reject(new Error('another tab holds an older database'));
    asking.onsuccess = () => {
      const database = asking.result;
      // Somebody deletes it, or the browser gave it up: nothing that is sold now would be kept.
      database.onversionchange = () => { database.close(); onLost(); };
      database.onclose = onLost;
      resolve(new Rows(database));
    };
  });
}

const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const finished = (transaction) => new Promise((resolve, reject) => {
  transaction.oncomplete = () => resolve();
  transaction.onabort = () => reject(transaction.error ?? new Error('it was aborted'));
});

export class Rows {
  #database;

  constructor(database) {
    this.#database = database;
  }

  // Begins a commit. The caller writes in the same turn in which it gets the rows.
  begin() {
    const transaction = this.#database.transaction(ROWS, 'readwrite', STRICT);
    return new Commit(transaction);
  }

  #reading() {
    return this.#database.transaction(ROWS, 'readonly').objectStore(ROWS);
  }

  get(key) {
    return settled(this.#reading().get(key));
  }

  async scan(from, until, limit) {
    const range = IDBKeyRange.bound(from, until, false, true);
    const store = this.#reading();
    const [keys, values] = await Promise.all([
      settled(store.getAllKeys(range, limit)), settled(store.getAll(range, limit)),
    ]);
    return keys.flatMap((key, at) => [new Uint8Array(key), values[at]]);
  }

  // Which till this browser is, and what it shows to the cloud.
  place() {
    const store = this.#database.transaction(PLACE, 'readonly').objectStore(PLACE);
    return settled(store.get('till'));
  }

  async keepPlace(place) {
    const transaction = this.#database.transaction(PLACE, 'readwrite', STRICT);
    const done = finished(transaction);
    transaction.objectStore(PLACE).put(place, 'till');
    await done;
  }
}

class Commit {
  #transaction;
  #done;

  constructor(transaction) {
    this.#transaction = transaction;
    this.#done = finished(transaction);
    this.#done.catch(() => {}); // whoever writes hears of it
  }

  load(keys) {
    const store = this.#transaction.objectStore(ROWS);
    return Promise.all(keys.map((key) => settled(store.get(key))));
  }

  async write(parts) {
    const store = this.#transaction.objectStore(ROWS);
    for (let at = 0; at < parts.length; at += 2) {
      const [key, value] = [parts[at], parts[at + 1]];
      if (value) store.put(value, key); else store.delete(key);
    }
    await this.#done;
  }

  abort() {
    try { this.#transaction.abort(); } catch { /* it is over already */ }
  }
}
