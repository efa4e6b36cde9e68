-- An event is written once: as the bytes of its record. What a back office asks of it is read out
-- of those by views, so a sale costs no second and third form of itself in rows and in the log.
-- Nothing is rewritten: columns are dropped from the catalog, and old rows have the same bytes.

DROP VIEW sales, sale_lines, payments, stock_movements, stock_now;

ALTER TABLE events RENAME TO ledger;
ALTER INDEX events_taken RENAME TO ledger_taken;
DO $$
BEGIN
    FOR part IN 0..3 LOOP
        EXECUTE format('ALTER TABLE events_%s RENAME TO ledger_%s', part, part);
    END LOOP;
END
$$;
ALTER TABLE ledger
    DROP COLUMN pos, DROP COLUMN local_id, DROP COLUMN shop, DROP COLUMN branch, DROP COLUMN kind,
    DROP COLUMN payload_hash, DROP COLUMN epoch, DROP COLUMN seq, DROP COLUMN at_ms,
    DROP COLUMN receipt, DROP COLUMN reference, DROP COLUMN session, DROP COLUMN original,
    DROP COLUMN currency, DROP COLUMN total_minor, DROP COLUMN lines, DROP COLUMN payments;
COMMENT ON COLUMN ledger.state IS 'What became of the event; null if it is posted';
ALTER TABLE movements DROP COLUMN push, DROP COLUMN moved;

-- Readers of the binary form of docs/wire.md. A place counts from 0, as get_byte does. Names are
-- written out with their schema, as whoever reads a view may have another search path.

-- The number at a place: as 64 bits, so what is 2^63 or more is negative here.
CREATE FUNCTION counterfoil.number_at(b bytea, at int) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN get_byte(b, at) < 251 THEN get_byte(b, at)::bigint
        WHEN get_byte(b, at) = 251 THEN get_byte(b, at + 1) | (get_byte(b, at + 2)::bigint << 8)
        WHEN get_byte(b, at) = 252 THEN get_byte(b, at + 1) | (get_byte(b, at + 2)::bigint << 8)
            | (get_byte(b, at + 3)::bigint << 16) | (get_byte(b, at + 4)::bigint << 24)
        ELSE get_byte(b, at + 1) | (get_byte(b, at + 2)::bigint << 8)
            | (get_byte(b, at + 3)::bigint << 16) | (get_byte(b, at + 4)::bigint << 24)
            | (get_byte(b, at + 5)::bigint << 32) | (get_byte(b, at + 6)::bigint << 40)
            | (get_byte(b, at + 7)::bigint << 48) | (get_byte(b, at + 8)::bigint << 56)
    END
$$;

-- The place behind the number at a place.
CREATE FUNCTION counterfoil.behind(b bytea, at int) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT at + CASE get_byte(b, at) WHEN 251 THEN 3 WHEN 252 THEN 5 WHEN 253 THEN 9 ELSE 1 END
$$;

-- A number that was written with its sign in its lowest bit.
CREATE FUNCTION counterfoil.signed(n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((n >> 1) & 9223372036854775807) # -(n & 1)
$$;

-- A short text at a place: its length is one byte.
CREATE FUNCTION counterfoil.text_at(b bytea, at int) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT convert_from(substr(b, at + 2, get_byte(b, at)), 'UTF8')
$$;

-- A time that a timestamptz holds, or null: a till may claim any.
CREATE FUNCTION counterfoil.shown_ms(ms bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN ms BETWEEN 0 AND 253402300799999 THEN ms END
$$;

-- What a row of the ledger says: of its key, of what became of it, and of the event.
CREATE FUNCTION counterfoil.read_event(key bytea, record bytea,
    OUT pos text, OUT local_id text, OUT shop text, OUT branch text, OUT kind text,
    OUT payload_hash text, OUT epoch bigint, OUT seq bigint, OUT at_ms bigint, OUT receipt bigint,
    OUT reference text, OUT session text, OUT original text, OUT currency text,
    OUT total_minor bigint, OUT lines jsonb, OUT payments jsonb)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    k bytea := substr(key, 2 + position('\x00'::bytea IN substr(key, 2)));
    b bytea := substr(record, 6); -- behind the frame
    p int := 2; -- behind the version and the kind of the record
    n bigint;
    tag int;
    way int := 1;
    list jsonb[] := '{}';
    product text;
    named text;
    quantity bigint;
    price bigint;
    discount bigint;
    in_session boolean;
BEGIN
    IF get_byte(b, 0) <> 1 OR get_byte(b, 1) <> 3 THEN
        RETURN;
    END IF;
    n := position('\x00'::bytea IN k);
    pos := convert_from(substr(k, 1, n::int - 1), 'UTF8');
    local_id := convert_from(substr(k, n::int + 1, length(k) - n::int - 1), 'UTF8');
    shop := counterfoil.text_at(b, p);
    p := p + 1 + get_byte(b, p);
    branch := counterfoil.text_at(b, p);
    p := p + 1 + get_byte(b, p);
    payload_hash := encode(substr(b, p + 1, 32), 'hex');
    p := p + 32;
    n := counterfoil.number_at(b, p);
    tag := counterfoil.behind(b, p);
    p := tag + n::int; -- behind the payload
    epoch := counterfoil.number_at(b, p);
    p := counterfoil.behind(b, p);
    p := counterfoil.behind(b, p);
    seq := counterfoil.number_at(b, p);
    IF seq < 0 THEN
        seq := NULL;
    END IF;
    IF n = 0 THEN
        RETURN;
    END IF;
    p := tag;
    in_session := get_byte(b, p) = 2;
    p := p + 1;
    p := p + 1 + get_byte(b, p);
    p := p + 1 + get_byte(b, p);
    at_ms := counterfoil.shown_ms(counterfoil.number_at(b, p));
    p := counterfoil.behind(b, p) + 1;
    IF get_byte(b, p - 1) = 1 THEN
        p := counterfoil.behind(b, p);
        p := counterfoil.behind(b, p);
        receipt := counterfoil.number_at(b, p);
        IF receipt < 0 THEN
            receipt := NULL;
        END IF;
        p := counterfoil.behind(b, p);
    END IF;
    reference := nullif(counterfoil.text_at(b, p), '');
    p := p + 1 + get_byte(b, p);
    tag := get_byte(b, p);
    p := p + 1;
    kind := (ARRAY['sale', 'refund', 'adjustment', 'session opened', 'cash moved',
        'session closed', 'catalogEdit', 'correction'])[tag + 1];
    IF tag = 1 THEN
        way := -1;
        p := p + 1;
        IF get_byte(b, p - 1) = 1 THEN
            original := counterfoil.text_at(b, p);
            p := p + 1 + get_byte(b, p);
            original := original || '/' || counterfoil.text_at(b, p);
            p := p + 1 + get_byte(b, p);
            original := original || '/' || counterfoil.text_at(b, p);
            p := p + 1 + get_byte(b, p);
        END IF;
    ELSIF tag = 7 THEN
        p := p + 1;
        FOR i IN 1..get_byte(b, p - 1) LOOP
            p := p + 1 + get_byte(b, p) + 32;
        END LOOP;
    ELSIF tag = 2 THEN
        p := p + 1 + get_byte(b, p); -- the reason
    END IF;
    IF tag IN (0, 1, 3, 4, 5, 7) THEN
        currency := counterfoil.text_at(b, p);
        p := p + 1 + get_byte(b, p);
    END IF;
    IF tag IN (0, 1, 7) THEN
        n := counterfoil.number_at(b, p);
        p := counterfoil.behind(b, p);
        FOR i IN 1..n LOOP
            product := counterfoil.text_at(b, p);
            p := p + 1 + get_byte(b, p);
            named := counterfoil.text_at(b, p);
            p := p + 1 + get_byte(b, p);
            n := counterfoil.number_at(b, p);
            quantity := way * counterfoil.signed(n);
            p := counterfoil.behind(b, p);
            n := counterfoil.number_at(b, p);
            price := counterfoil.signed(n);
            p := counterfoil.behind(b, p);
            n := counterfoil.number_at(b, p);
            discount := counterfoil.signed(n);
            p := counterfoil.behind(b, p);
            list := list || jsonb_build_object('product', product, 'name', named,
                'quantityMilli', quantity, 'unitPriceMinor', price, 'discountMinor', discount,
                'taxPpm', counterfoil.number_at(b, p), 'amountMinor',
                (round(quantity::numeric * price / 1000) - way * discount)::bigint);
            p := counterfoil.behind(b, p);
        END LOOP;
        lines := to_jsonb(list);
        list := '{}';
        total_minor := 0;
        p := p + 1;
        FOR i IN 1..get_byte(b, p - 1) LOOP
            n := counterfoil.number_at(b, p + 1);
            quantity := way * counterfoil.signed(n);
            total_minor := total_minor + quantity;
            list := list || jsonb_build_object('tender',
                (ARRAY['cash', 'card', 'other'])[get_byte(b, p)], 'amountMinor', quantity);
            p := counterfoil.behind(b, p + 1);
        END LOOP;
        payments := to_jsonb(list);
    ELSIF tag = 2 THEN
        n := counterfoil.number_at(b, p);
        p := counterfoil.behind(b, p);
        FOR i IN 1..n LOOP
            product := counterfoil.text_at(b, p);
            p := p + 1 + get_byte(b, p);
            p := p + 1 + get_byte(b, p);
            n := counterfoil.number_at(b, p);
            list := list || jsonb_build_object('product', product, 'quantityMilli', -counterfoil.signed(n));
            p := counterfoil.behind(b, p);
        END LOOP;
        lines := to_jsonb(list);
    ELSIF tag = 3 THEN
        p := counterfoil.behind(b, p);
    ELSIF tag = 4 THEN
        p := counterfoil.behind(b, p);
        p := p + 1 + get_byte(b, p);
    ELSIF tag = 5 THEN
        FOR i IN 1..10 LOOP -- two marks, the float, three counts
            p := counterfoil.behind(b, p);
        END LOOP;
        p := p + 1;
        FOR i IN 1..get_byte(b, p - 1) LOOP -- tenders
            p := counterfoil.behind(b, p + 1);
            p := counterfoil.behind(b, p);
        END LOOP;
        p := p + 1;
        FOR i IN 1..get_byte(b, p - 1) LOOP -- taxes
            p := counterfoil.behind(b, p);
            p := counterfoil.behind(b, p);
        END LOOP;
        FOR i IN 1..3 LOOP -- other taxes, cash in, cash out
            p := counterfoil.behind(b, p);
        END LOOP;
        p := p + 1;
        FOR i IN 1..get_byte(b, p - 1) LOOP -- counted
            p := counterfoil.behind(b, p + 1);
        END LOOP;
    END IF;
    IF in_session THEN
        session := counterfoil.text_at(b, p);
    END IF;
END
$$;

-- What a push moved.
CREATE FUNCTION counterfoil.read_moved(record bytea)
    RETURNS TABLE (product text, quantity_milli bigint, movements bigint)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    b bytea := substr(record, 6);
    p int := 2;
    n bigint;
BEGIN
    IF get_byte(b, 0) <> 1 OR get_byte(b, 1) <> 9 THEN
        RETURN;
    END IF;
    n := counterfoil.number_at(b, p);
    p := counterfoil.behind(b, p);
    FOR i IN 1..n LOOP
        product := counterfoil.text_at(b, p);
        p := p + 1 + get_byte(b, p);
        n := counterfoil.number_at(b, p);
        quantity_milli := counterfoil.signed(n);
        p := counterfoil.behind(b, p);
        movements := counterfoil.number_at(b, p);
        p := counterfoil.behind(b, p);
        RETURN NEXT;
    END LOOP;
END
$$;

-- The ledger, read. What is filtered by terminal, taken_ms or state reads only the rows that fit.
CREATE VIEW events AS
    SELECT l.terminal, l.key, l.record, l.stamp, e.pos, e.local_id, e.shop, e.branch, e.kind,
           coalesce(l.state, 'posted') AS state, e.payload_hash, e.epoch, e.seq, e.at_ms,
           l.taken_ms, e.receipt, e.reference, e.session, e.original, e.currency, e.total_minor,
           e.lines, e.payments
    FROM ledger l, LATERAL counterfoil.read_event(l.key, l.record) AS e;

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
        SELECT m.shop, m.branch, p.product, p.quantity_milli, p.movements
        FROM movements m, LATERAL counterfoil.read_moved(m.record) AS p
    ) AS parts
    GROUP BY shop, branch, product;
