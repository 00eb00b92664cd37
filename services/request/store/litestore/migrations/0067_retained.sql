-- +goose Up
CREATE TABLE retained (
    digest    blob NOT NULL,
    pepper    text NOT NULL REFERENCES suppression_pepper (id),
    connector text NOT NULL CHECK (connector <> ''),
    store     text NOT NULL,
    basis     text NOT NULL CHECK (basis <> ''),
    until     integer,
    PRIMARY KEY (digest, connector, store, basis)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE retained;
