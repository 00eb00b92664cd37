-- +goose Up
CREATE TABLE disclosure (
    key       bytea PRIMARY KEY,
    ref       text NOT NULL,
    digest    bytea NOT NULL,
    pepper    text NOT NULL REFERENCES suppression_pepper (id),
    recipient text COLLATE "C" NOT NULL CHECK (recipient <> ''),
    connector text NOT NULL,
    letters   text NOT NULL,
    sense     text COLLATE "C" NOT NULL CHECK (sense <> ''),
    purpose   text NOT NULL,
    at        timestamptz NOT NULL
);
CREATE INDEX disclosure_by_digest ON disclosure (digest, at);
CREATE INDEX disclosure_by_time ON disclosure (at);

-- +goose Down
DROP TABLE disclosure;
