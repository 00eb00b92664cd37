-- +goose Up
ALTER TABLE notice ADD COLUMN tries integer NOT NULL DEFAULT 0;
ALTER TABLE notice ADD COLUMN failed text NOT NULL DEFAULT '';
ALTER TABLE notice ADD COLUMN next_at integer;

-- +goose Down
ALTER TABLE notice DROP COLUMN next_at;
ALTER TABLE notice DROP COLUMN failed;
ALTER TABLE notice DROP COLUMN tries;
