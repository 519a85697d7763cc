package db

import (
	"database/sql"
	"reflect"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite guards every connection with a mutex, for programs that use one connection
// from several threads at once. database/sql lets nobody do that. The mutex is taken
// and left for each value that is handed over or read, which was a tenth of the
// processor time of a first import. SQLite opens connections without one where
// SQLITE_OPEN_NOMUTEX is asked for (https://sqlite.org/threadsafe.html, "multi-thread");
// the driver always asks for one and has no setting, so it is taken away here.

// driverName is that of a driver of our own, so that no other user of the driver in
// this process is concerned.
const driverName = "rollcall-sqlite"

func init() {
	d := &sqlite.Driver{}
	d.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
		unguard(conn)
		return nil
	})
	sql.Register(driverName, d)
}

// unguard takes the mutex from a connection that was just opened, and that nobody else
// knows yet: it is then as SQLITE_OPEN_NOMUTEX makes it. Where the driver does not keep
// its handle as it did, the connection keeps its mutex; a test tells.
func unguard(conn any) {
	handle, ok := handleOf(conn)
	if !ok {
		return
	}
	tls := libc.NewTLS()
	defer tls.Close()
	mutex := sqlite3.Xsqlite3_db_mutex(tls, handle)
	(*(**sqlite3.Tsqlite3)(unsafe.Pointer(&handle))).Fmutex = 0
	sqlite3.Xsqlite3_mutex_free(tls, mutex)
}

// handleOf is SQLite's handle (sqlite3*) of a connection of the driver.
func handleOf(conn any) (uintptr, bool) {
	v := reflect.ValueOf(conn)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return 0, false
	}
	handle := v.Elem().FieldByName("db")
	if handle.Kind() != reflect.Uintptr || handle.IsZero() {
		return 0, false
	}
	return uintptr(handle.Uint()), true
}
