-- +goose Up
-- Set-up links: by one of them a customer's administrator sets one connection up.
-- "hash" is the SHA-256 of the token. "kind" is '' for a connection there is;
-- otherwise it is the kind of one that may be made, and "made_at" when it was.
-- "admin" made the link, '' where it was the command line.
CREATE TABLE setup_links (
	id           text PRIMARY KEY,
	hash         BYTES NOT NULL UNIQUE,
	organization text NOT NULL,
	connection   text NOT NULL,
	kind         text NOT NULL,
	note         text NOT NULL,
	admin        text NOT NULL,
	created_by   text NOT NULL,
	created_at   bigint NOT NULL,
	expires_at   bigint NOT NULL,
	made_at      bigint NOT NULL DEFAULT 0,
	opened_at    bigint NOT NULL DEFAULT 0,
	revoked_at   bigint NOT NULL DEFAULT 0,
	revoked_by   text NOT NULL DEFAULT ''
);
CREATE INDEX setup_links_organization ON setup_links (organization, created_at, id);

CREATE TABLE setup_sessions (
	hash       BYTES PRIMARY KEY,
	link       text NOT NULL REFERENCES setup_links (id) ON DELETE CASCADE,
	address    text NOT NULL,
	agent      text NOT NULL,
	created_at bigint NOT NULL,
	seen_at    bigint NOT NULL
);
CREATE INDEX setup_sessions_link ON setup_sessions (link, created_at);

-- Passkeys of administrators (WebAuthn). "record" is what the library keeps of a
-- credential; "id" is the credential's own.
CREATE TABLE admin_passkeys (
	id         BYTES PRIMARY KEY,
	admin      text NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
	name       text NOT NULL,
	record     text NOT NULL,
	created_at bigint NOT NULL,
	used_at    bigint NOT NULL DEFAULT 0
);
CREATE INDEX admin_passkeys_admin ON admin_passkeys (admin, created_at);

-- Challenges to passkeys that were answered, by their SHA-256, until they run out:
-- none is answered twice.
CREATE TABLE admin_challenges (
	hash       BYTES PRIMARY KEY,
	expires_at bigint NOT NULL
);

-- +goose Down
DROP TABLE admin_challenges;
DROP TABLE admin_passkeys;
DROP TABLE setup_sessions;
DROP TABLE setup_links;
