-- +goose Up
CREATE TABLE suppression_pepper (
    id          text PRIMARY KEY,
    wrapped_key bytea NOT NULL,
    sealed      bytea NOT NULL,
    created_at  timestamptz NOT NULL
);

CREATE TABLE suppression (
    digest bytea NOT NULL,
    why    text COLLATE "C" NOT NULL CHECK (why <> ''),
    pepper text NOT NULL REFERENCES suppression_pepper (id),
    since  timestamptz NOT NULL,
    PRIMARY KEY (digest, why)
);

-- +goose Down
DROP TABLE suppression;
DROP TABLE suppression_pepper;
