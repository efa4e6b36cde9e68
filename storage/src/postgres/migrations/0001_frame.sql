-- What every table rests on. All of it lies in the schema `counterfoil`, which is the first of the
-- search path.

-- Each transaction that writes a row gives it a stamp that was never given before: a row whose
-- stamp is the same has not changed since it was read. A sequence, and not the transaction's
-- number, so that a dump that is restored into another cluster goes on above its own stamps.
CREATE SEQUENCE stamps AS bigint CACHE 1;

-- Who commits passes through here in ROW SHARE mode; who has met a conflict takes it alone
-- (docs/decisions/0012-postgres.md). It holds nothing.
CREATE TABLE turnstile ();

-- Ends a transaction whose rows are not as they were read. The code is that of a conflict between
-- serializable transactions: decide again.
CREATE FUNCTION expect(there bigint, expected bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF there <> expected THEN
        RAISE EXCEPTION 'a row is not as it was read' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN there;
END
$$;

-- Rows of every kind that has no table of its own.
CREATE TABLE rows (
    key    bytea  NOT NULL,
    record bytea  NOT NULL,
    stamp  bigint NOT NULL,
    PRIMARY KEY (key)
) PARTITION BY HASH (key);
ALTER TABLE rows ALTER COLUMN record SET STORAGE EXTERNAL;
COMMENT ON TABLE rows IS 'Rows of kinds without a table: the first byte of the key is the kind';

-- Makes the partitions of a table. Four cost nothing to one server, and are places to put tables
-- on disks of their own; a distributed engine shards by the same columns as it likes.
CREATE FUNCTION divide(name text, fill int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR part IN 0..3 LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS 4, REMAINDER %s) '
            'WITH (fillfactor = %s)', name || '_' || part, name, part, fill);
    END LOOP;
END
$$;
SELECT divide('rows', 90);
