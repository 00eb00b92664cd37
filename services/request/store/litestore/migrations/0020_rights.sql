-- +goose Up
ALTER TABLE request ADD COLUMN details text;
ALTER TABLE request ADD COLUMN corrections blob;
ALTER TABLE request ADD COLUMN statements blob;
ALTER TABLE request ADD COLUMN wake_at integer;
UPDATE request SET wake_at = respond_by WHERE state IN ('received', 'awaiting_verification');
CREATE INDEX request_wake ON request (wake_at) WHERE wake_at IS NOT NULL;

ALTER TABLE job ADD COLUMN failures integer NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN purpose text NOT NULL DEFAULT '';

CREATE TABLE person (
    digest     blob NOT NULL,
    request_id text NOT NULL REFERENCES request (id),
    PRIMARY KEY (digest, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_request ON person (request_id);

CREATE TABLE notice (
    request_id text NOT NULL REFERENCES request (id),
    kind       text NOT NULL,
    key        text NOT NULL,
    created_at integer NOT NULL,
    told       integer NOT NULL,
    PRIMARY KEY (request_id, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_open ON notice (created_at) WHERE told = 0;

-- +goose Down
DROP TABLE notice;
DROP TABLE person;
ALTER TABLE job DROP COLUMN purpose;
ALTER TABLE job DROP COLUMN failures;
DROP INDEX request_wake;
ALTER TABLE request DROP COLUMN wake_at;
ALTER TABLE request DROP COLUMN statements;
ALTER TABLE request DROP COLUMN corrections;
ALTER TABLE request DROP COLUMN details;
