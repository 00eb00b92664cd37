-- +goose Up
CREATE TABLE retained (
    digest    bytea NOT NULL,
    pepper    text NOT NULL REFERENCES suppression_pepper (id),
    connector text NOT NULL CHECK (connector <> ''),
    store     text NOT NULL,
    basis     text NOT NULL CHECK (basis <> ''),
    until     timestamptz,
    PRIMARY KEY (digest, connector, store, basis)
);

-- +goose Down
DROP TABLE retained;
