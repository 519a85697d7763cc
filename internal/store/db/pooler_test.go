package db_test

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
)

// TestAPoolerThatHandsOutTransactionsIsRefused talks to what PgBouncer is with `pool_mode =
// transaction`, at its smallest: it turns away what it does not know, and has one session
// for all of its clients.
func TestAPoolerThatHandsOutTransactionsIsRefused(t *testing.T) {
	server, err := pgconn.Connect(t.Context(), databases.Blank(t)["PostgreSQL"])
	if err != nil {
		t.Fatal(err)
	}
	behind, err := server.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	var turn sync.Mutex
	clients.Go(func() {
		for {
			near, err := door.Accept()
			if err != nil {
				return
			}
			clients.Go(func() {
				defer near.Close()
				serveOne(near, behind, &turn)
			})
		}
	})
	_, err = db.Open(t.Context(), "postgres://rollcall@"+door.Addr().String()+"/rollcall?sslmode=disable", "")
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "a pooler hands out transactions") || !strings.Contains(fault.HintOf(err), "pool_mode = session") {
		t.Errorf("kind %d: %v, hint %q", fault.KindOf(err), err, fault.HintOf(err))
	}
	door.Close()
	clients.Wait()
	behind.Conn.Close()
}

// serveOne serves one client of the pooler until it goes.
func serveOne(near net.Conn, behind *pgconn.HijackedConn, turn *sync.Mutex) {
	client := pgproto3.NewBackend(near, near)
	first, err := client.ReceiveStartupMessage()
	startup, ok := first.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	known := []string{"user", "database", "client_encoding", "datestyle", "timezone", "standard_conforming_strings", "application_name"}
	for name := range startup.Parameters {
		if !slices.Contains(known, strings.ToLower(name)) {
			client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: "unsupported startup parameter: " + name})
			_ = client.Flush()
			return
		}
	}
	client.Send(&pgproto3.AuthenticationOk{})
	for name, value := range behind.ParameterStatuses {
		client.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	client.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 1}})
	client.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for client.Flush() == nil {
		asked, err := client.Receive()
		query, ok := asked.(*pgproto3.Query)
		if err != nil || !ok {
			return
		}
		turn.Lock()
		behind.Frontend.Send(query)
		err = behind.Frontend.Flush()
		for done := false; err == nil && !done; {
			var said pgproto3.BackendMessage
			if said, err = behind.Frontend.Receive(); err == nil {
				client.Send(said)
				_, done = said.(*pgproto3.ReadyForQuery)
				err = client.Flush()
			}
		}
		turn.Unlock()
	}
}

// The driver says of each address that it tried what came of it, on a line of its own.
func TestWhyNobodyCanConnectIsSaidInOneLine(t *testing.T) {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	clients.Go(func() {
		for {
			near, err := door.Accept()
			if err != nil {
				return
			}
			client := pgproto3.NewBackend(near, near)
			if _, err := client.ReceiveStartupMessage(); err == nil {
				client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "the database system is starting up"})
				_ = client.Flush()
			}
			near.Close()
		}
	})
	at := door.Addr().String()
	reach := func(want, hint string) {
		t.Helper()
		_, err := db.Open(t.Context(), "postgres://rollcall@"+at+","+at+"/rollcall?sslmode=disable", "")
		if err == nil || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), want) || !strings.Contains(fault.HintOf(err), hint) || strings.Contains(err.Error(), "\n") {
			t.Errorf("kind %d: %v, hint %q", fault.KindOf(err), err, fault.HintOf(err))
		}
	}
	reach("connect: FATAL: the database system is starting up", "starting")
	door.Close()
	clients.Wait()
	reach("cannot be reached", "the server runs")
}
