-- +goose Up
CREATE TABLE request (
    id              text COLLATE "C" PRIMARY KEY,
    tenant          text NOT NULL,
    regime          text NOT NULL,
    consumer_right  text NOT NULL,
    state           text NOT NULL,
    result          text NOT NULL,
    reason_code     text NOT NULL,
    reason          text NOT NULL,
    channel         text NOT NULL,
    terms           jsonb NOT NULL,
    extension       jsonb,
    respond_by      timestamptz NOT NULL,
    verification    jsonb,
    wrapped_key     bytea,
    sealed          bytea,
    kinds           text NOT NULL,
    commitment      bytea NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     bytea,
    round           int NOT NULL,
    plan_digest     bytea,
    plan            jsonb,
    record_digests  bytea,
    closure_digest  bytea,
    attention       text NOT NULL,
    package         jsonb,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    closed_at       timestamptz,
    version         bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX request_listing ON request (created_at DESC, id DESC);
CREATE INDEX request_open ON request (state, created_at, id) WHERE state <> 'closed';
CREATE INDEX request_unclosed ON request (updated_at) WHERE state = 'closing' AND closure_digest IS NULL;
CREATE INDEX request_attention ON request (created_at DESC, id DESC) WHERE attention <> '';

CREATE TABLE idempotency (
    key         text PRIMARY KEY,
    request_id  text NOT NULL,
    fingerprint bytea
);

CREATE TABLE job (
    id                text COLLATE "C" PRIMARY KEY,
    request_id        text COLLATE "C" NOT NULL REFERENCES request (id),
    connector         text NOT NULL,
    connector_version text NOT NULL,
    manifest_digest   text NOT NULL,
    key_id            text NOT NULL,
    action            text NOT NULL,
    round             int NOT NULL,
    place             int NOT NULL,
    after             text NOT NULL,
    kinds             text NOT NULL,
    state             text NOT NULL,
    attempt           int NOT NULL,
    plan_digest       bytea NOT NULL,
    located           jsonb,
    outcome           jsonb,
    discovered        bigint NOT NULL,
    code              text NOT NULL,
    message           text NOT NULL,
    cap_override      bigint NOT NULL,
    located_envelope  bytea,
    sent_at           timestamptz,
    next_at           timestamptz,
    updated_at        timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX job_request ON job (request_id, place);
CREATE INDEX job_out ON job (connector, sent_at) WHERE state = 'sent';
CREATE INDEX job_waiting ON job (next_at) WHERE state IN ('planned', 'deferred');

CREATE TABLE record (
    digest     bytea PRIMARY KEY,
    request_id text NOT NULL,
    job_id     text NOT NULL,
    type       text NOT NULL,
    issuer     text NOT NULL,
    envelope   bytea NOT NULL,
    created_at timestamptz NOT NULL
);
ALTER TABLE record ALTER COLUMN envelope SET STORAGE EXTERNAL;
CREATE INDEX record_age ON record (created_at);

CREATE TABLE connector (
    name       text PRIMARY KEY,
    manifest   bytea NOT NULL,
    key_id     text NOT NULL,
    key        bytea NOT NULL,
    seen_at    timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE evidence_key (
    key_id      text PRIMARY KEY,
    owner       text NOT NULL,
    der         bytea NOT NULL,
    accepted_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE evidence_key;
DROP TABLE connector;
DROP TABLE record;
DROP TABLE job;
DROP TABLE idempotency;
DROP TABLE request;
