-- +goose Up
-- The run that this one does again, because the node that carried it out went away.
ALTER TABLE runs ADD COLUMN replaces text NOT NULL DEFAULT '';

-- With thousands of connections a pass must not look at all runs and plans there
-- ever were.
CREATE INDEX runs_running ON runs (connection) WHERE state = 'running';
CREATE INDEX runs_held ON runs (plan) WHERE state = 'held';
CREATE INDEX plans_state ON plans (connection, state);

-- Runs that wait for their turn, and those a node carries out, with how far they
-- are. A row goes with the end of its run. Turns are dealt out so that every lane
-- (an organization, once for what people ask for and once for its schedules) has
-- one after the other: the smallest is next.
CREATE TABLE work (
	run          text PRIMARY KEY,
	organization text NOT NULL,
	connection   text NOT NULL,
	task         text NOT NULL,
	subject      text NOT NULL DEFAULT '',
	options      text NOT NULL DEFAULT '',
	lane         text NOT NULL,
	turn         bigint NOT NULL,
	queued_at    bigint NOT NULL,
	not_before   bigint NOT NULL DEFAULT 0,
	waits_for    text NOT NULL DEFAULT '',
	node         text NOT NULL DEFAULT '',
	cancelled_by text NOT NULL DEFAULT '',
	phase        text NOT NULL DEFAULT 'waiting',
	done         bigint NOT NULL DEFAULT 0,
	total        bigint NOT NULL DEFAULT 0,
	updated_at   bigint NOT NULL
);
CREATE INDEX work_waiting ON work (connection, task) WHERE node = '';
CREATE UNIQUE INDEX work_running ON work (connection) WHERE node <> '';
CREATE INDEX work_turn ON work (turn, queued_at) WHERE node = '';
CREATE INDEX work_lane ON work (lane, turn) WHERE node = '';
CREATE INDEX work_node ON work (node) WHERE node <> '';
INSERT INTO counters (name, value) VALUES ('line', 0);

-- When each connection with a schedule runs next: "next_at" by its schedule,
-- "due_at" the same or, in quarantine, later.
CREATE TABLE schedules (
	connection   text PRIMARY KEY,
	organization text NOT NULL,
	spec         text NOT NULL,
	next_at      bigint NOT NULL,
	due_at       bigint NOT NULL
);
CREATE INDEX schedules_due ON schedules (due_at);

-- Connections whose last run failed. One whose runs go well has no row.
CREATE TABLE health (
	connection     text PRIMARY KEY,
	organization   text NOT NULL,
	failures       bigint NOT NULL,
	cause          text NOT NULL,
	failed_at      bigint NOT NULL,
	quarantined_at bigint NOT NULL DEFAULT 0,
	retry_at       bigint NOT NULL DEFAULT 0
);
CREATE INDEX health_quarantined ON health (quarantined_at) WHERE quarantined_at > 0;

-- The processes that serve this database.
CREATE TABLE nodes (
	id         text PRIMARY KEY,
	host       text NOT NULL,
	process    text NOT NULL,
	version    text NOT NULL,
	started_at bigint NOT NULL,
	seen_at    bigint NOT NULL,
	draining   boolean NOT NULL DEFAULT false
);

-- What is done again and again by one node of all.
CREATE TABLE chores (
	name    text PRIMARY KEY,
	next_at bigint NOT NULL
);

-- The queue of jobs of the embedded database. On PostgreSQL River keeps it, in
-- tables of its own.
CREATE TABLE jobs (
	id         ROWID PRIMARY KEY,
	kind       text NOT NULL,
	key        text NOT NULL,
	args       text NOT NULL,
	attempt    bigint NOT NULL DEFAULT 0,
	at         bigint NOT NULL,
	node       text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX jobs_key ON jobs (kind, key) WHERE key <> '';
CREATE INDEX jobs_at ON jobs (kind, at) WHERE node = '';

-- +goose Down
DROP TABLE jobs;
DROP TABLE chores;
DROP TABLE nodes;
DROP TABLE health;
DROP TABLE schedules;
DELETE FROM counters WHERE name = 'line';
DROP TABLE work;
DROP INDEX plans_state;
DROP INDEX runs_held;
DROP INDEX runs_running;
ALTER TABLE runs DROP COLUMN replaces;
