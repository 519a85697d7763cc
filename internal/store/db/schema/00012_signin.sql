-- +goose Up
-- Tries of people to sign in, by a keyed digest of what they are counted for, see
-- package tries.
CREATE TABLE login_tries (
	id         text PRIMARY KEY,
	tries      integer NOT NULL,
	wait_until bigint NOT NULL,
	at         bigint NOT NULL,
	told_at    bigint NOT NULL DEFAULT 0
);
CREATE INDEX login_tries_at ON login_tries (at);

-- Places people signed in from: a keyed digest of connection, login and network.
CREATE TABLE login_places (
	id text PRIMARY KEY,
	at bigint NOT NULL
);
CREATE INDEX login_places_at ON login_places (at);

-- "given" is the hash that a directory or an administrator gave: "hash" is another
-- one where the person chose a password of their own.
ALTER TABLE credentials ADD COLUMN given text NOT NULL DEFAULT '';
UPDATE credentials SET given = hash;

-- One-time links to another password, by the SHA-256 of their token.
CREATE TABLE password_links (
	hash         BYTES PRIMARY KEY,
	account      BYTES NOT NULL UNIQUE,
	organization text NOT NULL,
	created_by   text NOT NULL,
	created_at   bigint NOT NULL,
	expires_at   bigint NOT NULL
);

-- +goose Down
DROP TABLE password_links;
ALTER TABLE credentials DROP COLUMN given;
DROP TABLE login_places;
DROP TABLE login_tries;
