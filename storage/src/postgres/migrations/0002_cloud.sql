-- The cloud's rows that a back office asks for. Written by the node, in the transaction that writes
-- the record; a reader may join them as it likes. docs/postgres.md says what each column is.
--
-- key and record are the protocol's own bytes: the record is what counts, the other columns say it
-- again. Names sort by their bytes, as keys do. Times are milliseconds since 1970; at() shows them.

CREATE FUNCTION at(ms bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT timestamptz 'epoch' + ms * interval '1 millisecond' $$;

CREATE TABLE terminals (
    terminal text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    shop text,
    branch text,
    revoked boolean,
    expires_ms bigint,
    enrolled_ms bigint,
    PRIMARY KEY (terminal, key)
) PARTITION BY HASH (terminal);
ALTER TABLE terminals ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE terminals IS 'Enrolled tills. The digest of a secret is in the record only';
SELECT divide('terminals', 90);

CREATE TABLE journals (
    terminal text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    epoch bigint,
    nonce text,
    head bigint,
    since_ms bigint,
    seen_ms bigint,
    events bigint,
    lines bigint,
    quantity_milli bigint,
    money_minor bigint,
    PRIMARY KEY (terminal, key)
) PARTITION BY HASH (terminal);
ALTER TABLE journals ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE journals IS 'The cloud''s copy of each history of a till: how far it goes, and what it posted';
SELECT divide('journals', 50);

CREATE TABLE journal_segments (
    terminal text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    epoch bigint,
    nonce text,
    number bigint,
    entries bigint,
    PRIMARY KEY (terminal, key)
) PARTITION BY HASH (terminal);
ALTER TABLE journal_segments ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE journal_segments IS 'The payload hashes of each history, in runs';
SELECT divide('journal_segments', 50);

CREATE TABLE events (
    terminal text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    pos text,
    local_id text,
    shop text,
    branch text,
    kind text,
    state text,
    payload_hash text,
    epoch bigint,
    seq bigint,
    at_ms bigint,
    taken_ms bigint,
    receipt bigint,
    reference text,
    session text,
    original text,
    currency text,
    total_minor bigint,
    lines jsonb,
    payments jsonb,
    PRIMARY KEY (terminal, key)
) PARTITION BY HASH (terminal);
ALTER TABLE events ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE events IS 'The ledger: every event once, with what became of it. A key is answered the same for ever';
SELECT divide('events', 90);

CREATE TABLE stock (
    shop text COLLATE "C" NOT NULL,
    branch text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    product text,
    quantity_milli bigint,
    movements bigint,
    PRIMARY KEY (shop, branch, key)
) PARTITION BY HASH (shop, branch);
ALTER TABLE stock ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE stock IS 'Stock as far as movements are rolled up; read it through stock_now';
SELECT divide('stock', 50);

CREATE TABLE movements (
    shop text COLLATE "C" NOT NULL,
    branch text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    push text,
    moved jsonb,
    PRIMARY KEY (shop, branch, key)
) PARTITION BY HASH (shop, branch);
ALTER TABLE movements ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE movements IS 'What each push moved, until it is rolled up into stock';
SELECT divide('movements', 90);

CREATE TABLE feeds (
    shop text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    version bigint,
    PRIMARY KEY (shop, key)
) PARTITION BY HASH (shop);
ALTER TABLE feeds ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE feeds IS 'Where the catalog feed of each shop stands: the row that every commit of the feed takes';
SELECT divide('feeds', 50);

CREATE TABLE catalog (
    shop text COLLATE "C" NOT NULL,
    branch text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    kind text,
    id text,
    version bigint,
    deleted boolean,
    changed_ms bigint,
    content jsonb,
    PRIMARY KEY (shop, branch, key)
) PARTITION BY HASH (shop, branch);
ALTER TABLE catalog ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE catalog IS 'Entities of the catalog; branch is empty for those of the whole shop';
SELECT divide('catalog', 90);

CREATE TABLE feed (
    shop text COLLATE "C" NOT NULL,
    branch text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    version bigint,
    place bigint,
    kind text,
    id text,
    PRIMARY KEY (shop, branch, key)
) PARTITION BY HASH (shop, branch);
ALTER TABLE feed ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE feed IS 'Places of the catalog feed: what changed at which version';
SELECT divide('feed', 90);

CREATE TABLE register_sessions (
    shop text COLLATE "C" NOT NULL,
    terminal text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    pos text,
    session text,
    branch text,
    currency text,
    float_minor bigint,
    closings bigint,
    late_events bigint,
    PRIMARY KEY (shop, terminal, key)
) PARTITION BY HASH (shop, terminal);
ALTER TABLE register_sessions ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE register_sessions IS 'Sessions of registers: what was posted of each day';
SELECT divide('register_sessions', 50);

CREATE TABLE inventory_heads (
    shop text COLLATE "C" NOT NULL,
    branch text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    seq bigint,
    PRIMARY KEY (shop, branch, key)
) PARTITION BY HASH (shop, branch);
ALTER TABLE inventory_heads ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE inventory_heads IS 'Where the inbox of each branch ends: the row that every event of it takes';
SELECT divide('inventory_heads', 50);

CREATE TABLE inventory_events (
    shop text COLLATE "C" NOT NULL,
    branch text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    seq bigint,
    event_id text,
    source text,
    reference text,
    product text,
    delta_milli bigint,
    created_ms bigint,
    taken_ms bigint,
    relayed_from text,
    PRIMARY KEY (shop, branch, key)
) PARTITION BY HASH (shop, branch);
ALTER TABLE inventory_events ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE inventory_events IS 'What moved the stock of a branch elsewhere, in the order of commits';
SELECT divide('inventory_events', 90);

CREATE TABLE acknowledgements (
    shop text COLLATE "C" NOT NULL,
    branch text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    terminal text,
    through bigint,
    at_ms bigint,
    PRIMARY KEY (shop, branch, key)
) PARTITION BY HASH (shop, branch);
ALTER TABLE acknowledgements ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE acknowledgements IS 'How far each till has acknowledged the inbox of its branch';
SELECT divide('acknowledgements', 50);

CREATE TABLE orders (
    shop text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    record bytea NOT NULL,
    stamp bigint NOT NULL,
    order_id text,
    branch text,
    created_ms bigint,
    taken_ms bigint,
    cancelled_ms bigint,
    lines jsonb,
    PRIMARY KEY (shop, key)
) PARTITION BY HASH (shop);
ALTER TABLE orders ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE orders IS 'Online orders';
SELECT divide('orders', 90);

-- Questions about a day look at few blocks: events are taken in about in the order of their time.
CREATE INDEX events_taken ON events USING brin (taken_ms);

-- Sales and refunds that count. Amounts and quantities of a refund are negative.
CREATE VIEW sales AS
    SELECT shop, branch, terminal, pos, local_id, kind, at(at_ms) AS sold_at,
           at(taken_ms) AS taken_at, receipt, reference, session, original, currency, total_minor
    FROM events WHERE kind IN ('sale', 'refund') AND state = 'posted';

CREATE VIEW sale_lines AS
    SELECT e.shop, e.branch, e.terminal, e.pos, e.local_id, at(e.at_ms) AS sold_at,
           l.number, l.line ->> 'product' AS product, l.line ->> 'name' AS name,
           (l.line ->> 'quantityMilli')::bigint AS quantity_milli,
           (l.line ->> 'unitPriceMinor')::bigint AS unit_price_minor,
           (l.line ->> 'discountMinor')::bigint AS discount_minor,
           (l.line ->> 'taxPpm')::bigint AS tax_ppm,
           (l.line ->> 'amountMinor')::bigint AS amount_minor, e.currency
    FROM events e, jsonb_array_elements(e.lines) WITH ORDINALITY AS l(line, number)
    WHERE e.kind IN ('sale', 'refund') AND e.state = 'posted';

CREATE VIEW payments AS
    SELECT e.shop, e.branch, e.terminal, e.pos, e.local_id, at(e.at_ms) AS paid_at, p.number,
           p.payment ->> 'tender' AS tender, (p.payment ->> 'amountMinor')::bigint AS amount_minor,
           e.currency
    FROM events e, jsonb_array_elements(e.payments) WITH ORDINALITY AS p(payment, number)
    WHERE e.kind IN ('sale', 'refund') AND e.state = 'posted';

-- What every posted event moves: adjustments too. Goods that leave are negative.
CREATE VIEW stock_movements AS
    SELECT e.shop, e.branch, e.terminal, e.pos, e.local_id, e.kind, at(e.at_ms) AS moved_at,
           l.line ->> 'product' AS product,
           -(l.line ->> 'quantityMilli')::bigint AS delta_milli
    FROM events e, jsonb_array_elements(e.lines) AS l(line)
    WHERE e.state = 'posted';

-- Stock is the sum of its movements, those that are not rolled up yet with them.
CREATE VIEW stock_now AS
    SELECT shop, branch, product, sum(quantity_milli)::bigint AS quantity_milli,
           sum(movements)::bigint AS movements
    FROM (
        SELECT shop, branch, product, quantity_milli, movements FROM stock
        UNION ALL
        SELECT m.shop, m.branch, p ->> 'product', (p ->> 'quantityMilli')::bigint,
               (p ->> 'movements')::bigint
        FROM movements m, jsonb_array_elements(m.moved) AS p
    ) AS parts
    GROUP BY shop, branch, product;
