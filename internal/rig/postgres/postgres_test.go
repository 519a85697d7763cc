package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/rollcall/internal/rig/postgres"
)

func TestAServerStartsGivesDatabasesAndStops(t *testing.T) {
	ctx := t.Context()
	s, err := postgres.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.NewDatabase(ctx)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.NewDatabase(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{s.DSN, first, second} {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(ctx, "CREATE TABLE alone (id int)"); err != nil {
			t.Errorf("databases are apart: %v", err)
		}
		if err := conn.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if conn, err := pgx.Connect(ctx, s.DSN); err == nil {
		_ = conn.Close(ctx)
		t.Error("the stopped server still answers")
	}
}

// Clients that wait for each other are told of when the server stops, whatever they
// made of it themselves.
func TestADeadlockIsToldOf(t *testing.T) {
	ctx := t.Context()
	s, err := postgres.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var both [2]*pgx.Conn
	for i := range both {
		if both[i], err = pgx.Connect(ctx, s.DSN); err != nil {
			t.Fatal(err)
		}
	}
	do := func(c *pgx.Conn, query string) {
		t.Helper()
		if _, err := c.Exec(ctx, query); err != nil {
			t.Fatal(err)
		}
	}
	do(both[0], "CREATE TABLE a (id int); CREATE TABLE b (id int)")
	do(both[0], "BEGIN; LOCK TABLE a")
	do(both[1], "BEGIN; LOCK TABLE b")
	second := make(chan error)
	go func() {
		_, err := both[1].Exec(ctx, "LOCK TABLE a")
		second <- err
	}()
	_, first := both[0].Exec(ctx, "LOCK TABLE b")
	// One of them has what it waits for, the other an error.
	if first != nil {
		do(both[0], "ROLLBACK")
	}
	if err := <-second; (first == nil) == (err == nil) {
		t.Errorf("%v, %v", first, err)
	}
	if err := s.Stop(); err == nil || !strings.Contains(err.Error(), "LOCK TABLE") {
		t.Errorf("stopped: %v", err)
	}
}
