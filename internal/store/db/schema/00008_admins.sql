-- +goose Up
-- People who may use the console. "email_key" is the address as it is compared;
-- "organization" is '' for operators and for auditors of all. "password" is an
-- Argon2id hash. "totp" is the sealed secret of the second factor in use,
-- "totp_offer" of one that waits for its first code, "totp_step" the last time
-- step a code was taken for: none is taken twice.
CREATE TABLE admins (
	id           text PRIMARY KEY,
	email        text NOT NULL,
	email_key    text NOT NULL UNIQUE,
	name         text NOT NULL,
	role         text NOT NULL,
	organization text NOT NULL,
	password     text NOT NULL,
	totp         BYTES,
	totp_offer   BYTES,
	totp_step    bigint NOT NULL DEFAULT 0,
	disabled     boolean NOT NULL DEFAULT false,
	created_by   text NOT NULL,
	created_at   bigint NOT NULL,
	signed_in_at bigint NOT NULL DEFAULT 0
);
CREATE INDEX admins_organization ON admins (organization, email_key);

-- Recovery codes that were not used yet, by their SHA-256.
CREATE TABLE admin_codes (
	admin text NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
	hash  BYTES NOT NULL,
	PRIMARY KEY (admin, hash)
);

-- Sessions by the SHA-256 of their token. A pending one waits for the second
-- factor and is good for nothing else. "confirmed_at" is when a password, code or
-- passkey was last given.
CREATE TABLE admin_sessions (
	id           text PRIMARY KEY,
	hash         BYTES NOT NULL UNIQUE,
	admin        text NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
	pending      boolean NOT NULL,
	address      text NOT NULL,
	agent        text NOT NULL,
	created_at   bigint NOT NULL,
	seen_at      bigint NOT NULL,
	confirmed_at bigint NOT NULL
);
CREATE INDEX admin_sessions_admin ON admin_sessions (admin, created_at);

-- Addresses an administrator signed in from.
CREATE TABLE admin_addresses (
	admin   text NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
	address text NOT NULL,
	at      bigint NOT NULL,
	PRIMARY KEY (admin, address)
);

-- Tries to sign in, by a keyed digest of what they are counted for: an address
-- that nobody has may be a password typed into the wrong field.
CREATE TABLE admin_tries (
	id         text PRIMARY KEY,
	tries      integer NOT NULL,
	wait_until bigint NOT NULL,
	at         bigint NOT NULL,
	told_at    bigint NOT NULL DEFAULT 0
);
CREATE INDEX admin_tries_at ON admin_tries (at);

-- One-time links by the SHA-256 of their token: "first" for the first operator,
-- "invitation" for a new administrator, "reset" for a forgotten password of "admin".
CREATE TABLE admin_links (
	id           text PRIMARY KEY,
	hash         BYTES NOT NULL UNIQUE,
	kind         text NOT NULL,
	admin        text REFERENCES admins (id) ON DELETE CASCADE,
	email        text NOT NULL,
	name         text NOT NULL,
	role         text NOT NULL,
	organization text NOT NULL,
	created_by   text NOT NULL,
	created_at   bigint NOT NULL,
	expires_at   bigint NOT NULL
);
CREATE INDEX admin_links_created ON admin_links (created_at, id);

-- +goose Down
DROP TABLE admin_links;
DROP TABLE admin_tries;
DROP TABLE admin_addresses;
DROP TABLE admin_sessions;
DROP TABLE admin_codes;
DROP TABLE admins;
