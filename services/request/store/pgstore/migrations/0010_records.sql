-- +goose Up
CREATE TABLE log_access (
    at      timestamptz NOT NULL,
    who     text NOT NULL CHECK (who <> ''),
    role    text NOT NULL,
    purpose text NOT NULL,
    allowed bigint NOT NULL
);
CREATE INDEX log_access_at ON log_access (at);

CREATE TABLE training (
    who        text NOT NULL CHECK (who <> ''),
    trained_on text NOT NULL CHECK (trained_on <> ''),
    course     text NOT NULL CHECK (course <> ''),
    PRIMARY KEY (who, trained_on, course)
);

CREATE TABLE version (
    kind    text NOT NULL CHECK (kind <> ''),
    name    text NOT NULL CHECK (name <> ''),
    at      timestamptz NOT NULL,
    version text NOT NULL,
    digest  bytea NOT NULL,
    content bytea NOT NULL,
    by_whom text NOT NULL CHECK (by_whom <> ''),
    PRIMARY KEY (kind, name, at)
);

-- The six fields of 11 CCR 7101(b): what came, how, and on what basis it was
-- refused. Rows that are there already were made by the same rules.
ALTER TABLE request ADD CONSTRAINT request_nature CHECK (consumer_right <> '') NOT VALID;
ALTER TABLE request ADD CONSTRAINT request_manner CHECK (channel <> '') NOT VALID;
ALTER TABLE request ADD CONSTRAINT request_received CHECK (coalesce(terms -> 'Due' ->> 'received', '') <> '') NOT VALID;
ALTER TABLE request ADD CONSTRAINT request_basis CHECK (result <> 'denied' OR (reason_code <> '' AND reason <> '')) NOT VALID;

-- +goose Down
ALTER TABLE request DROP CONSTRAINT request_basis, DROP CONSTRAINT request_received, DROP CONSTRAINT request_manner, DROP CONSTRAINT request_nature;
DROP TABLE version;
DROP TABLE training;
DROP TABLE log_access;
