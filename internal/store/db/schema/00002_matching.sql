-- +goose Up
-- By which attributes, besides username and e-mail address, a connection finds
-- accounts.
CREATE TABLE matching (
	connection   text NOT NULL,
	name         text NOT NULL,
	organization text NOT NULL,
	PRIMARY KEY (connection, name)
);

-- The values of those attributes, folded, for every account of an organization
-- with a connection that finds accounts by them.
CREATE TABLE account_values (
	organization text NOT NULL,
	name         text NOT NULL,
	value_key    text NOT NULL,
	account      BYTES NOT NULL,
	PRIMARY KEY (organization, name, value_key, account)
) WITHOUT_ROWID;

-- +goose Down
DROP TABLE account_values;
DROP TABLE matching;
