package postgres_test

import (
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
