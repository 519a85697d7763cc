package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/leases"
)

const freshFile = "name a file that does not exist yet, in a folder that does"

// Backup writes a copy of an SQLite database to a file that does not exist yet,
// consistent even while runs go on.
func (s *Store) Backup(ctx context.Context, path string) error {
	if s.DB.Dialect != db.SQLite {
		return fault.New(fault.Invalid, "backup: the database is PostgreSQL").WithHint("use pg_dump; `rollcall backup` copies the embedded database")
	}
	if _, err := os.Lstat(path); err == nil {
		return fault.New(fault.Invalid, "backup: %s: %w", path, os.ErrExist).WithHint("%s", freshFile)
	}
	folder := filepath.Dir(path)
	sweep(folder)
	// It gets its name when it is whole: what a killed process leaves behind must not pass
	// for a backup. An empty file is a database without anybody.
	f, err := os.CreateTemp(folder, filepath.Base(path)+","+strings.ReplaceAll(leases.Self(), "/", ",")+".*.part")
	if err != nil {
		return fault.New(fault.Invalid, "backup: %w", err).WithHint("%s", freshFile)
	}
	err = s.DB.Copy(ctx, f.Name())
	if err == nil {
		err = db.Explain("back up", f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, takeAway(f.Name()))
	}
	return err
}

// part is what a backup is called that is being written: by which process
// (leases.Self) stands before a number of its own.
var part = regexp.MustCompile(`,([^,]+,[0-9]+,[0-9]*,[^,]*)\.[0-9]+\.part$`)

// abandoned is how long no backup stays without a byte more. It is for those of whose
// process nothing can be told from here: another container, another system.
const abandoned = 24 * time.Hour

// sweep takes away what killed backups left in a folder, whatever they were to be called:
// names mostly have a date in them. One that is being written stays, and so does what
// cannot be seen, in a folder that is there to be written to only.
func sweep(folder string) {
	list, _ := os.ReadDir(folder)
	for _, e := range list {
		m := part.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil { // gone meanwhile
			continue
		}
		if leases.Dead(strings.ReplaceAll(m[1], ",", "/")) || time.Since(info.ModTime()) > abandoned {
			_ = takeAway(filepath.Join(folder, e.Name())) // the next one tries again
		}
	}
}

// takeAway removes a part, and its journal: where the disk was full SQLite leaves that
// as well.
func takeAway(name string) (err error) {
	for _, left := range []string{name, name + "-journal"} {
		if gone := os.Remove(left); !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}
