-- +goose Up
CREATE TABLE suppression_pepper (
    id          text PRIMARY KEY,
    wrapped_key blob NOT NULL,
    sealed      blob NOT NULL,
    created_at  integer NOT NULL
) STRICT;

CREATE TABLE suppression (
    digest blob NOT NULL,
    why    text NOT NULL CHECK (why <> ''),
    pepper text NOT NULL REFERENCES suppression_pepper (id),
    since  integer NOT NULL,
    PRIMARY KEY (digest, why)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE suppression;
DROP TABLE suppression_pepper;
