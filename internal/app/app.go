// Package app wires a configuration, a database and the engine together. It
// hands the whole on to the command line (and, later, to the server).
package app

import (
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store"
)

// App is an opened installation.
type App struct {
	Config *config.Config
	Store  *store.Store
	Engine *engine.Engine
}

// Open loads the configuration and opens its database.
func Open(ctx context.Context, path string, lookup func(string) (string, bool)) (*App, error) {
	cfg, err := config.Load(path, all.Kinds(), lookup)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, cfg.Database, cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := s.Declare(ctx, cfg.Organizations); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	key := cfg.KeyFile
	if !filepath.IsAbs(key) {
		key = filepath.Join(cfg.Dir, key)
	}
	kept := &secrets{path: key}
	s.DB.Keyed = kept.keyed
	return &App{Config: cfg, Store: s, Engine: &engine.Engine{Store: s, Kinds: all.Named, Secrets: kept,
		Env: source.Env{Dir: cfg.Dir}, Connections: cfg.Connections, Retention: cfg.Retention, Now: time.Now}}, nil
}

// Close closes the database.
func (a *App) Close() error { return a.Store.Close() }

// Connection finds a configured connection by its alias.
func (a *App) Connection(alias string) (setting.Connection, error) {
	var known []string
	for _, c := range a.Config.Connections {
		if c.Alias == alias {
			return c, nil
		}
		known = append(known, c.Alias)
	}
	err := fault.New(fault.NotFound, "there is no connection %q", alias)
	switch near := setting.Nearest(alias, known); {
	case near != "":
		err = err.WithHint("did you mean %q?", near)
	case len(known) == 0:
		err = err.WithHint("declare one under `connections:` in rollcall.yaml")
	default:
		err = err.WithHint("`rollcall connections list` shows those there are")
	}
	return setting.Connection{}, err
}

// secrets opens the installation's key when the first event or the first password
// has to be kept.
type secrets struct {
	path string
	once sync.Once
	key  *seal.Key
	err  error
}

func (s *secrets) open() error {
	s.once.Do(func() { s.key, s.err = seal.LoadKey(s.path) })
	return s.err
}

func (s *secrets) Fingerprint(purpose, text string) (string, error) {
	if err := s.open(); err != nil {
		return "", err
	}
	return s.key.Fingerprint(purpose, text), nil
}

// keyed is a db.Keyed.
func (s *secrets) keyed(purpose, text string) ([]byte, error) {
	f, err := s.Fingerprint(purpose, text)
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(f)
}

func (s *secrets) HashPassword(ctx context.Context, plain string) (string, error) {
	return seal.HashPassword(ctx, plain)
}
