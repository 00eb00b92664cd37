-- +goose Up
CREATE TABLE request (
    id              text PRIMARY KEY,
    tenant          text NOT NULL,
    regime          text NOT NULL,
    consumer_right  text NOT NULL,
    state           text NOT NULL,
    result          text NOT NULL,
    reason_code     text NOT NULL,
    reason          text NOT NULL,
    channel         text NOT NULL,
    terms           text NOT NULL,
    extension       text,
    respond_by      integer NOT NULL,
    verification    text,
    wrapped_key     blob,
    sealed          blob,
    kinds           text NOT NULL,
    commitment      blob NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     blob,
    round           integer NOT NULL,
    plan_digest     blob,
    plan            text,
    record_digests  blob,
    closure_digest  blob,
    attention       text NOT NULL,
    package         text,
    created_at      integer NOT NULL,
    updated_at      integer NOT NULL,
    closed_at       integer,
    version         integer NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX request_listing ON request (created_at DESC, id DESC);
CREATE INDEX request_open ON request (state, created_at, id) WHERE state <> 'closed';
CREATE INDEX request_unclosed ON request (updated_at) WHERE state = 'closing' AND closure_digest IS NULL;
CREATE INDEX request_attention ON request (created_at DESC, id DESC) WHERE attention <> '';

CREATE TABLE idempotency (
    key         text PRIMARY KEY,
    request_id  text NOT NULL,
    fingerprint blob
) STRICT;

CREATE TABLE job (
    id                text PRIMARY KEY,
    request_id        text NOT NULL REFERENCES request (id),
    connector         text NOT NULL,
    connector_version text NOT NULL,
    manifest_digest   text NOT NULL,
    key_id            text NOT NULL,
    action            text NOT NULL,
    round             integer NOT NULL,
    place             integer NOT NULL,
    after             text NOT NULL,
    kinds             text NOT NULL,
    state             text NOT NULL,
    attempt           integer NOT NULL,
    plan_digest       blob NOT NULL,
    located           text,
    outcome           text,
    discovered        integer NOT NULL,
    code              text NOT NULL,
    message           text NOT NULL,
    cap_override      integer NOT NULL,
    located_envelope  blob,
    sent_at           integer,
    next_at           integer,
    updated_at        integer NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX job_request ON job (request_id, place);
CREATE INDEX job_out ON job (connector, sent_at) WHERE state = 'sent';
CREATE INDEX job_waiting ON job (next_at) WHERE state IN ('planned', 'deferred');

CREATE TABLE record (
    digest     blob PRIMARY KEY,
    request_id text NOT NULL,
    job_id     text NOT NULL,
    type       text NOT NULL,
    issuer     text NOT NULL,
    envelope   blob NOT NULL,
    created_at integer NOT NULL
) STRICT;
CREATE INDEX record_age ON record (created_at);

CREATE TABLE connector (
    name       text PRIMARY KEY,
    manifest   blob NOT NULL,
    key_id     text NOT NULL,
    key        blob NOT NULL,
    seen_at    integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE evidence_key (
    key_id      text PRIMARY KEY,
    owner       text NOT NULL,
    der         blob NOT NULL,
    accepted_at integer NOT NULL
) STRICT;

-- +goose Down
DROP TABLE evidence_key;
DROP TABLE connector;
DROP TABLE record;
DROP TABLE job;
DROP TABLE idempotency;
DROP TABLE request;
