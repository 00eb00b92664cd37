-- +goose Up
CREATE TABLE disclosure (
    key       blob PRIMARY KEY,
    ref       text NOT NULL,
    digest    blob NOT NULL,
    pepper    text NOT NULL REFERENCES suppression_pepper (id),
    recipient text NOT NULL CHECK (recipient <> ''),
    connector text NOT NULL,
    letters   text NOT NULL,
    sense     text NOT NULL CHECK (sense <> ''),
    purpose   text NOT NULL,
    at        integer NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX disclosure_by_digest ON disclosure (digest, at);
CREATE INDEX disclosure_by_time ON disclosure (at);

-- +goose Down
DROP TABLE disclosure;
