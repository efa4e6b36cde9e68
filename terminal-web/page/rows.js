// The till's rows in IndexedDB: one object store, key bytes to framed record bytes.
//
// A commit is one read-write transaction: it reads what the till decides on, writes, and is done
// when the browser says `complete` with durability "strict": then it lies on the disk.

const ROWS = 'rows';
const PLACE = 'place';
const KEPT = 'kept';
const STRICT = { durability: 'strict' };

export async function open(onLost) {
  return new Rows(await connect('counterfoil', [ROWS, PLACE], onLost));
}

// What stands apart from the rows, so that rows which were restored or cleared are noticed.
export async function openBeside(onLost) {
  return new Beside(await connect('counterfoil-beside', [KEPT], onLost));
}

function connect(name, stores, onLost) {
  return new Promise((resolve, reject) => {
    const asking = indexedDB.open(name, 1);
    asking.onupgradeneeded = () => stores.forEach((store) => asking.result.createObjectStore(store));
    asking.onerror = () => reject(asking.error);
    asking.onblocked = () => reject(new Error('another tab holds an older database'));
    asking.onsuccess = () => {
      const database = asking.result;
      // Somebody deletes it, or the browser gave it up: nothing that is sold now would be kept.
      database.onversionchange = () => { database.close(); onLost(); };
      database.onclose = onLost;
      resolve(database);
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

// Puts one value in the place of another, or none: durable when it returns.
async function keep(database, store, key, value) {
  const transaction = database.transaction(store, 'readwrite', STRICT);
  const done = finished(transaction);
  const values = transaction.objectStore(store);
  if (value === undefined) values.delete(key); else values.put(value, key);
  await done;
}

class Beside {
  #database;

  constructor(database) {
    this.#database = database;
  }

  get(key) {
    return settled(this.#database.transaction(KEPT, 'readonly').objectStore(KEPT).get(key));
  }

  keep(key, value) {
    return keep(this.#database, KEPT, key, value);
  }

  forget(key) {
    return keep(this.#database, KEPT, key, undefined);
  }
}

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

  keepPlace(place) {
    return keep(this.#database, PLACE, 'till', place);
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
