// The way to the cloud, which has served this page: one request at a time, as the till says.

export class Link {
  #engine;
  #credential;
  #onChange;
  #timer = 0;

  constructor(engine, credential, onChange) {
    this.#engine = engine;
    this.#credential = credential;
    this.#onChange = onChange;
    addEventListener('online', () => this.nudge('linkUp'));
  }

  // There may be something to say: what the till makes of it is done until it rests.
  async nudge(why) {
    let told = await this.#engine.run({ nudge: why });
    while (told.is === 'send') {
      const { request } = told;
      const { status, retryAfterS, body } = await this.#send(told);
      told = await this.#engine.run({ answered: { request, status, retryAfterS } }, body);
      await this.#onChange(told);
    }
    await this.#onChange(told);
    if (told.is !== 'rests') return;
    clearTimeout(this.#timer);
    // A browser keeps no longer time than this.
    const wait = Math.min(told.wakeInMs, 0x7fffffff);
    this.#timer = setTimeout(() => this.nudge('wake'), wait);
  }

  async #send({ route, media, attempt, timeoutMs, body }) {
    try {
      const answer = await fetch(route, {
        method: 'POST',
        body,
        headers: {
          authorization: `Bearer ${this.#credential}`,
          'content-type': media,
          accept: media,
          'x-sync-attempt': String(attempt),
        },
        credentials: 'omit',
        cache: 'no-store',
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      });
      const after = Number.parseInt(answer.headers.get('retry-after') ?? '', 10);
      return {
        status: answer.status,
        retryAfterS: Number.isSafeInteger(after) && after >= 0 ? after : null,
        body: new Uint8Array(await answer.arrayBuffer()),
      };
    } catch {
      return { status: 0, retryAfterS: null, body: new Uint8Array() };
    }
  }
}
