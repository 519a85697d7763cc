-- +goose Up
-- Applications that people sign in to. "organization" is '' for those of the whole
-- installation. Lists are JSON. "secret" is the SHA-256 of what the application
-- holds, "secret_before" of what it held until "secret_until". Lifetimes are seconds.
CREATE TABLE clients (
	id             text PRIMARY KEY,
	organization   text NOT NULL,
	name           text NOT NULL,
	kind           text NOT NULL,
	redirect_uris  text NOT NULL,
	logout_uris    text NOT NULL,
	backchannel    text NOT NULL,
	connections    text NOT NULL,
	scopes         text NOT NULL,
	algorithm      text NOT NULL,
	without_pkce   boolean NOT NULL,
	access_life    bigint NOT NULL,
	id_life        bigint NOT NULL,
	refresh_idle   bigint NOT NULL,
	refresh_life   bigint NOT NULL,
	secret         BYTES,
	secret_before  BYTES,
	secret_until   bigint NOT NULL DEFAULT 0,
	created_at     bigint NOT NULL,
	updated_at     bigint NOT NULL
);
CREATE INDEX clients_organization ON clients (organization, id);

-- Where the pages of public clients come from: only those may ask across origins.
CREATE TABLE client_origins (
	origin text NOT NULL,
	client text NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
	PRIMARY KEY (origin, client)
) WITHOUT_ROWID;

-- One row for each time that a client was told who is signed in: the code, by its
-- SHA-256, and what all tokens come from that were given for it. "ended_at" ends
-- them all. "offline" ones outlive the login, unless that is signed out.
CREATE TABLE grants (
	id           text PRIMARY KEY,
	client       text NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
	login        text NOT NULL,
	organization text NOT NULL,
	connection   text NOT NULL,
	account      BYTES NOT NULL,
	methods      text NOT NULL,
	auth_at      bigint NOT NULL,
	scope        text NOT NULL,
	nonce        text NOT NULL,
	redirect_uri text NOT NULL,
	challenge    text NOT NULL,
	offline      boolean NOT NULL,
	code         BYTES NOT NULL UNIQUE,
	code_until   bigint NOT NULL,
	used_at      bigint NOT NULL DEFAULT 0,
	created_at   bigint NOT NULL,
	ends_at      bigint NOT NULL,
	ended_at     bigint NOT NULL DEFAULT 0
);
CREATE INDEX grants_login ON grants (login);
CREATE INDEX grants_account ON grants (account);
CREATE INDEX grants_client ON grants (client);
CREATE INDEX grants_ends ON grants (ends_at);

CREATE TABLE refresh_tokens (
	hash        BYTES PRIMARY KEY,
	grant_id    text NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
	parent      BYTES,
	created_at  bigint NOT NULL,
	ends_at     bigint NOT NULL,
	replaced_at bigint NOT NULL DEFAULT 0
);
CREATE INDEX refresh_tokens_grant ON refresh_tokens (grant_id);
CREATE INDEX refresh_tokens_parent ON refresh_tokens (parent);

-- Keys that tokens are signed with, by the thumbprint of the public half. The
-- private half is sealed, and goes when a key signs no more.
CREATE TABLE signing_keys (
	id         text PRIMARY KEY,
	algorithm  text NOT NULL,
	public     text NOT NULL,
	private    BYTES,
	created_at bigint NOT NULL,
	active_at  bigint NOT NULL
);

-- Logins that ended, for each client that has to be told.
CREATE TABLE logouts (
	id         text PRIMARY KEY,
	client     text NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
	login      text NOT NULL,
	account    BYTES NOT NULL,
	ended_at   bigint NOT NULL,
	attempts   bigint NOT NULL DEFAULT 0,
	next_at    bigint NOT NULL,
	claim      text NOT NULL DEFAULT '',
	done_at    bigint NOT NULL DEFAULT 0,
	error      text NOT NULL DEFAULT '',
	UNIQUE (client, login)
);
CREATE INDEX logouts_next ON logouts (next_at);

INSERT INTO counters (name, value) VALUES ('signing', 0);

-- +goose Down
DELETE FROM counters WHERE name = 'signing';
DROP TABLE logouts;
DROP TABLE signing_keys;
DROP TABLE refresh_tokens;
DROP TABLE grants;
DROP TABLE client_origins;
DROP TABLE clients;
