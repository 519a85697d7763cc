-- +goose Up
-- What kinds of changes a chunk of a plan holds, so that lists of one kind pass the
-- others by. Of earlier ones it is not known: they are looked at.
ALTER TABLE plan_chunks ADD COLUMN kinds text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE plan_chunks DROP COLUMN kinds;
