-- +goose Up
-- Indexes that a first import builds when its rows are in: their own definitions.
CREATE TABLE deferred_indexes (
	name       text PRIMARY KEY,
	definition text NOT NULL
);

-- +goose Down
DROP TABLE deferred_indexes;
