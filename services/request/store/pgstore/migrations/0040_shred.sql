-- +goose Up
CREATE INDEX request_shred ON request (closed_at) WHERE state = 'closed' AND sealed IS NOT NULL AND wake_at IS NULL;

-- +goose Down
DROP INDEX request_shred;
