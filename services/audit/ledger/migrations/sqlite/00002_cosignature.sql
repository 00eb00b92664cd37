-- +goose Up
-- What witnesses signed, beside the heads that they signed it over.
CREATE TABLE cosignature (
    size        integer NOT NULL,
    witness     text    NOT NULL,
    line        text    NOT NULL,
    cosigned_at integer NOT NULL, -- seconds of Unix time, as the witness says
    PRIMARY KEY (size, witness)
) STRICT;
CREATE INDEX cosignature_witness ON cosignature (witness, size);

-- +goose Down
DROP TABLE cosignature;
