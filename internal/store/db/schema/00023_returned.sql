-- +goose Up
-- Who went and is there again since a generation, by a reading of changes that brought the
-- groups they are in by now: rows of groups read before say nothing of them any more.
CREATE TABLE returned (
	connection  text NOT NULL,
	key         BYTES NOT NULL,
	since       bigint NOT NULL,
	PRIMARY KEY (connection, key)
);

-- +goose Down
DROP TABLE returned;
