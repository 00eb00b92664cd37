-- +goose Up
ALTER TABLE notice ADD COLUMN tries bigint NOT NULL DEFAULT 0, ADD COLUMN failed text NOT NULL DEFAULT '', ADD COLUMN next_at timestamptz;

-- +goose Down
ALTER TABLE notice DROP COLUMN next_at, DROP COLUMN failed, DROP COLUMN tries;
