-- +goose Up
-- Groups of kind 3 are read for the sake of their members alone. Whoever looks for groups
-- says kind > 1, in the words of the index.
DROP INDEX mirror_groups;
CREATE INDEX mirror_groups ON mirror (connection, key) WHERE kind > 1;

-- +goose Down
DELETE FROM mirror WHERE kind = 3;
DROP INDEX mirror_groups;
CREATE INDEX mirror_groups ON mirror (connection, key) WHERE kind = 2;
