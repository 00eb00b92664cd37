-- +goose Up
-- What witnesses signed, beside the heads that they signed it over.
CREATE TABLE cosignature (
    size         bigint NOT NULL,
    witness      text   NOT NULL,
    line         text   NOT NULL,
    cosigned_at  bigint NOT NULL, -- seconds of Unix time, as the witness says
    PRIMARY KEY (size, witness)
);
CREATE INDEX cosignature_witness ON cosignature (witness, size);

-- +goose Down
DROP TABLE cosignature;
