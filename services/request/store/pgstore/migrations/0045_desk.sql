-- +goose Up
CREATE INDEX request_pressing ON request (respond_by, id) INCLUDE (state, attention) WHERE state <> 'closed';
CREATE INDEX request_closed ON request (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX request_by_right ON request (consumer_right, created_at DESC, id DESC);
CREATE INDEX request_by_regime ON request (regime, created_at DESC, id DESC);

-- +goose Down
DROP INDEX request_by_regime;
DROP INDEX request_by_right;
DROP INDEX request_closed;
DROP INDEX request_pressing;
