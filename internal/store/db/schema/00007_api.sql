-- +goose Up
-- API keys. "id" is the beginning of the key, by which it is looked up; "hash" is
-- the SHA-256 of the whole. "organization" is '' where a key reaches all of them.
CREATE TABLE api_keys (
	id           text PRIMARY KEY,
	hash         BYTES NOT NULL,
	name         text NOT NULL,
	organization text NOT NULL,
	read_only    boolean NOT NULL,
	created_by   text NOT NULL,
	created_at   bigint NOT NULL,
	expires_at   bigint NOT NULL DEFAULT 0,
	last_used_at bigint NOT NULL DEFAULT 0,
	revoked_at   bigint NOT NULL DEFAULT 0,
	revoked_by   text NOT NULL DEFAULT ''
);
CREATE INDEX api_keys_created ON api_keys (created_at, id);

-- Lists through the API go by these, a page at a time.
CREATE INDEX runs_started ON runs (started_at, id);
CREATE INDEX plans_created ON plans (created_at, id);
CREATE INDEX groups_name ON groups (name, id);

-- +goose Down
DROP INDEX groups_name;
DROP INDEX plans_created;
DROP INDEX runs_started;
DROP TABLE api_keys;
