package app

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store"
)

// Move brings what an embedded database holds into the PostgreSQL database of the
// configuration, see store.Move. It is a fault.Invalid where the configuration has another
// secret key than the one beside the file: nothing sealed could be read.
func Move(ctx context.Context, path, file string, lookup func(string) (string, bool)) (rows int64, err error) {
	cfg, err := config.Load(path, all.Kinds(), lookup)
	if err != nil {
		return 0, err
	}
	ours := cfg.KeyFile
	if !filepath.IsAbs(ours) {
		ours = filepath.Join(cfg.Dir, ours)
	}
	beside := filepath.Join(filepath.Dir(file), config.DefaultKeyFile)
	switch its, err := os.ReadFile(beside); {
	case errors.Is(err, fs.ErrNotExist): // a backup, whose key is kept apart
	case err != nil:
		return 0, fault.New(fault.Invalid, "move: read the key file: %w", err)
	default:
		if key, err := os.ReadFile(ours); err != nil || !bytes.Equal(key, its) {
			return 0, fault.New(fault.Invalid, "move: the secret key of the database is in %s, and the configuration goes by %s, which is not the same", beside, ours).
				WithHint("let `key_file` name it, or copy it there: without it no secret can be read")
		}
	}
	return store.Move(ctx, file, cfg.Database, cfg.Dir)
}
