-- +goose Up
ALTER TABLE request ADD COLUMN details jsonb, ADD COLUMN corrections bytea, ADD COLUMN statements bytea, ADD COLUMN wake_at timestamptz;
UPDATE request SET wake_at = respond_by WHERE state IN ('received', 'awaiting_verification');
CREATE INDEX request_wake ON request (wake_at) WHERE wake_at IS NOT NULL;

ALTER TABLE job ADD COLUMN failures int NOT NULL DEFAULT 0, ADD COLUMN purpose text NOT NULL DEFAULT '';

CREATE TABLE person (
    digest     bytea NOT NULL,
    request_id text COLLATE "C" NOT NULL REFERENCES request (id),
    PRIMARY KEY (digest, request_id)
);
CREATE INDEX person_request ON person (request_id);

CREATE TABLE notice (
    request_id text COLLATE "C" NOT NULL REFERENCES request (id),
    kind       text NOT NULL,
    key        text NOT NULL,
    created_at timestamptz NOT NULL,
    told       bigint NOT NULL,
    PRIMARY KEY (request_id, kind, key)
);
CREATE INDEX notice_open ON notice (created_at) WHERE told = 0;

-- +goose Down
DROP TABLE notice;
DROP TABLE person;
ALTER TABLE job DROP COLUMN purpose, DROP COLUMN failures;
DROP INDEX request_wake;
ALTER TABLE request DROP COLUMN wake_at, DROP COLUMN statements, DROP COLUMN corrections, DROP COLUMN details;
