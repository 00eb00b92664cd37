-- +goose Up
-- The log's one row. The write transaction that holds it puts leaves in order.
CREATE TABLE log (
    one    integer PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    origin text    NOT NULL,
    vkey   text    NOT NULL,
    size   integer NOT NULL,
    root   blob    NOT NULL
) STRICT;

-- One row per tile; the tile at the right edge is a prefix of what it will be.
CREATE TABLE tile (
    level  integer NOT NULL,
    idx    integer NOT NULL,
    hashes blob    NOT NULL,
    PRIMARY KEY (level, idx)
) STRICT;

-- The envelope is private and can be erased; the digest is public and stays.
CREATE TABLE leaf (
    number     integer PRIMARY KEY,
    digest     blob    NOT NULL,
    request_id text    NOT NULL,
    type       text    NOT NULL,
    issuer     text    NOT NULL,
    envelope   blob,
    logged_at  integer NOT NULL
) STRICT;
CREATE UNIQUE INDEX leaf_digest ON leaf (digest);
CREATE INDEX leaf_request ON leaf (request_id, number) WHERE request_id <> '';
CREATE INDEX leaf_type ON leaf (type, number) WHERE type IN ('key', 'retention', 'intake');

-- Every head that was signed.
CREATE TABLE checkpoint (
    size      integer PRIMARY KEY,
    note      blob    NOT NULL,
    signed_at integer NOT NULL
) STRICT;

-- Records that were refused, with their bytes, so that nothing is lost.
CREATE TABLE rejected (
    digest      blob    PRIMARY KEY,
    subject     text    NOT NULL,
    reason      text    NOT NULL,
    detail      text    NOT NULL,
    key_id      text    NOT NULL,
    envelope    blob    NOT NULL,
    rejected_at integer NOT NULL
) STRICT;
CREATE INDEX rejected_key ON rejected (key_id) WHERE reason = 'unknown_key';

-- +goose Down
DROP TABLE rejected;
DROP TABLE checkpoint;
DROP TABLE leaf;
DROP TABLE tile;
DROP TABLE log;
