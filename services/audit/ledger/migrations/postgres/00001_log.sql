-- +goose Up
-- The log's one row. Locking it is what puts leaves in order.
CREATE TABLE log (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    origin text   NOT NULL,
    vkey   text   NOT NULL,
    size   bigint NOT NULL,
    root   bytea  NOT NULL
) WITH (fillfactor = 20);

-- One row per tile; the tile at the right edge is a prefix of what it will be.
CREATE TABLE tile (
    level  smallint NOT NULL,
    idx    bigint   NOT NULL,
    hashes bytea    NOT NULL,
    PRIMARY KEY (level, idx)
);
ALTER TABLE tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- The envelope is private and can be erased; the digest is public and stays.
CREATE TABLE leaf (
    number     bigint      PRIMARY KEY,
    digest     bytea       NOT NULL,
    request_id text        NOT NULL,
    type       text        NOT NULL,
    issuer     text        NOT NULL,
    envelope   bytea,
    logged_at  timestamptz NOT NULL DEFAULT now()
) WITH (toast_tuple_target = 8160);
ALTER TABLE leaf ALTER COLUMN envelope SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX leaf_digest ON leaf (digest);
CREATE INDEX leaf_request ON leaf (request_id, number) WHERE request_id <> '';
CREATE INDEX leaf_type ON leaf (type, number) WHERE type IN ('key', 'retention', 'intake');

-- Every head that was signed.
CREATE TABLE checkpoint (
    size      bigint      PRIMARY KEY,
    note      bytea       NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT now()
);

-- Records that were refused, with their bytes, so that nothing is lost.
CREATE TABLE rejected (
    digest      bytea       PRIMARY KEY,
    subject     text        NOT NULL,
    reason      text        NOT NULL,
    detail      text        NOT NULL,
    key_id      text        NOT NULL,
    envelope    bytea       NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX rejected_key ON rejected (key_id) WHERE reason = 'unknown_key';

-- +goose Down
DROP TABLE rejected;
DROP TABLE checkpoint;
DROP TABLE leaf;
DROP TABLE tile;
DROP TABLE log;
