-- +goose Up
-- Connections that SCIM clients push to. "organization" is the one whose tokens and
-- log these are; "logged" numbers what was logged.
CREATE TABLE pushers (
	connection   text PRIMARY KEY,
	organization text NOT NULL,
	client_id    text NOT NULL,
	logged       bigint NOT NULL DEFAULT 0
);

-- What clients sign in with. "hash" is the SHA-256 of the secret, "id" how it begins.
-- "kind" is bearer or oauth. "replaced_at" is when another took its place:
-- "expires_at" (0: never) is then the end of the overlap.
CREATE TABLE pusher_tokens (
	id           text PRIMARY KEY,
	hash         BYTES NOT NULL,
	connection   text NOT NULL REFERENCES pushers (connection) ON DELETE CASCADE,
	kind         text NOT NULL,
	name         text NOT NULL,
	created_by   text NOT NULL,
	created_at   bigint NOT NULL,
	expires_at   bigint NOT NULL,
	replaced_at  bigint NOT NULL DEFAULT 0,
	last_used_at bigint NOT NULL DEFAULT 0,
	revoked_at   bigint NOT NULL DEFAULT 0,
	revoked_by   text NOT NULL DEFAULT ''
);
CREATE INDEX pusher_tokens_connection ON pusher_tokens (connection, created_at, id);

-- Access tokens that were given for a secret, until they run out.
CREATE TABLE pusher_access (
	id         text PRIMARY KEY,
	hash       BYTES NOT NULL,
	token      text NOT NULL REFERENCES pusher_tokens (id) ON DELETE CASCADE,
	expires_at bigint NOT NULL
);
CREATE INDEX pusher_access_token ON pusher_access (token, expires_at);

-- The last requests of each connection, masked before they come here. "took" is in
-- microseconds.
CREATE TABLE pusher_log (
	connection text NOT NULL REFERENCES pushers (connection) ON DELETE CASCADE,
	id         bigint NOT NULL,
	at         bigint NOT NULL,
	method     text NOT NULL,
	path       text NOT NULL,
	query      text NOT NULL,
	status     integer NOT NULL,
	took       bigint NOT NULL,
	client     text NOT NULL,
	remote     text NOT NULL,
	request    text NOT NULL,
	answer     text NOT NULL,
	token      text NOT NULL,
	PRIMARY KEY (connection, id)
);

-- "told_by" is whose expiries these are: '' of the last run, 'tokens' of what clients
-- sign in with here, which runs know nothing of.
ALTER TABLE expiries ADD COLUMN told_by text NOT NULL DEFAULT '';

-- +goose Down
DELETE FROM expiries WHERE told_by <> '';
ALTER TABLE expiries DROP COLUMN told_by;
DROP TABLE pusher_log;
DROP TABLE pusher_access;
DROP TABLE pusher_tokens;
DROP TABLE pushers;
