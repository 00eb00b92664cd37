-- +goose Up
CREATE TABLE log_access (
    at      integer NOT NULL,
    who     text NOT NULL CHECK (who <> ''),
    role    text NOT NULL,
    purpose text NOT NULL,
    allowed integer NOT NULL
) STRICT;
CREATE INDEX log_access_at ON log_access (at);

CREATE TABLE training (
    who        text NOT NULL CHECK (who <> ''),
    trained_on text NOT NULL CHECK (trained_on <> ''),
    course     text NOT NULL CHECK (course <> ''),
    PRIMARY KEY (who, trained_on, course)
) STRICT;

CREATE TABLE version (
    kind    text NOT NULL CHECK (kind <> ''),
    name    text NOT NULL CHECK (name <> ''),
    at      integer NOT NULL,
    version text NOT NULL,
    digest  blob NOT NULL,
    content blob NOT NULL,
    by_whom text NOT NULL CHECK (by_whom <> ''),
    PRIMARY KEY (kind, name, at)
) STRICT;

-- The six fields of 11 CCR 7101(b): what came, how, and on what basis it was
-- refused. A table cannot be given checks later, so triggers make them.
-- +goose StatementBegin
CREATE TRIGGER request_fields BEFORE INSERT ON request
WHEN new.consumer_right = '' OR new.channel = '' OR coalesce(json_extract(new.terms, '$.Due.received'), '') = ''
    OR (new.result = 'denied' AND (new.reason_code = '' OR new.reason = ''))
BEGIN
    SELECT raise(ABORT, 'a field of the log of requests is missing');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER request_basis BEFORE UPDATE OF result, reason_code, reason ON request
WHEN new.result = 'denied' AND (new.reason_code = '' OR new.reason = '')
BEGIN
    SELECT raise(ABORT, 'the basis for a denial is missing');
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER request_basis;
DROP TRIGGER request_fields;
DROP TABLE version;
DROP TABLE training;
DROP TABLE log_access;
