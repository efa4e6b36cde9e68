// Drives the till in wasm: one job at a time, each question answered out of IndexedDB.

import init, { BrowserTill } from './till.js';

export async function load() {
  await init({ module_or_path: new URL('./till_bg.wasm', import.meta.url) });
}

const random = (count) => {
  const words = crypto.getRandomValues(new BigUint64Array(count));
  return Array.from(words, (word) => word.toString(16));
};

export class Engine {
  #till;
  #rows;
  #last = Promise.resolve();

  constructor(rows) {
    const [seed] = crypto.getRandomValues(new BigUint64Array(1));
    this.#rows = rows;
    this.#till = new BrowserTill(seed, performance.now());
  }

  // Does a job after those before it, and returns what came of it: durable, if it was written.
  run(job, body = new Uint8Array()) {
    const next = this.#last.then(() => this.#one(job, body));
    this.#last = next.catch(() => {});
    return next;
  }

  async #one(job, body) {
    const moment = {
      nowMs: Date.now(), atMs: Math.floor(performance.now()), random: random(4), job,
    };
    if (!this.#till.begin(JSON.stringify(moment), body)) throw new Error('the till is lost');
    let commit = null;
    for (;;) {
      const wish = this.#till.poll();
      if (wish === 'done') {
        commit?.abort(); // it was begun and nothing was decided
        return { ...JSON.parse(this.#till.result()), body: this.#till.body() };
      }
      const parts = unpack(this.#till.parts());
      try {
        if (wish === 'load') {
          commit = this.#rows.begin();
          this.#till.answer(pack(await commit.load(parts)));
        } else if (wish === 'write') {
          const begun = commit;
          commit = null;
          await begun.write(parts);
          this.#till.answer(new Uint8Array());
        } else if (wish === 'get') {
          this.#till.answer(pack([await this.#rows.get(parts[0])]));
        } else {
          const limit = new DataView(parts[2].buffer, parts[2].byteOffset).getUint32(0, true);
          this.#till.answer(pack(await this.#rows.scan(parts[0], parts[1], limit)));
        }
      } catch (error) {
        this.#till.fail(`${error?.name ?? 'Error'}: ${error?.message ?? error}`);
      }
    }
  }
}

// A list of byte strings, each of which may be absent: terminal-web/src/ask.rs.
function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts = [];
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at + 1, true);
    parts.push(bytes[at] ? bytes.slice(at + 5, at + 5 + length) : undefined);
    at += 5 + length;
  }
  return parts;
}

function pack(parts) {
  const size = parts.reduce((sum, part) => sum + 5 + (part?.length ?? 0), 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    bytes[at] = part ? 1 : 0;
    view.setUint32(at + 1, part?.length ?? 0, true);
    if (part) bytes.set(part, at + 5);
    at += 5 + (part?.length ?? 0);
  }
  return bytes;
}
