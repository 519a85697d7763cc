package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/tunnel"
)

// defaultFile is read where no other is named.
const defaultFile = "adc.yaml"

// worker opens what the server asks about.
type worker struct {
	o *Options

	mu   sync.Mutex
	file *config.Agent
	kept []*kept // the one used last comes last
}

// kept is an authenticator that stays open between sign-ins.
type kept struct {
	key   string
	a     source.Authenticator
	users int
	gone  bool // the last to leave closes it
}

// mostKept is how many directories' authenticators stay open. An agent with a file has one.
const mostKept = 4

// load reads the file.
func (w *worker) load() error {
	name, named := w.o.Config, w.o.Config != ""
	if !named {
		name = defaultFile
	}
	data, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		data = nil
	case err != nil:
		return fault.New(fault.Invalid, "agent: %w", err).WithHint("AD_CONNECT_CONFIG or --file names the agent's file")
	}
	file, err := config.ReadAgent(name, data, w.o.Kinds, w.o.Lookup)
	if err != nil {
		return err
	}
	if file.Kind != "" {
		kind, ok := w.kind(file.Kind)
		if !ok {
			return fault.New(fault.Invalid, "%s: backend: an agent cannot read a source %s", name, file.Kind).WithHint("what others push to is a connection of the server")
		}
		// A wrong setting is told at once, and not when the server asks.
		src, err := kind.Open(file.Backend, source.Env{Dir: file.Dir})
		if err == nil {
			err = src.Close()
		}
		if err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.file = file
	w.drop()
	return nil
}

// drop closes what is kept open, under the lock. Whoever uses it finishes.
func (w *worker) drop() {
	for _, k := range w.kept {
		k.gone = true
		k.closeUnused()
	}
	w.kept = nil
}

func (k *kept) closeUnused() {
	if k.gone && k.users == 0 {
		_ = k.a.Close() //nolint:errcheck // nothing depends on it any more
	}
}

func (w *worker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop()
}

// kind finds a kind that an agent reads.
func (w *worker) kind(name string) (source.Kind, bool) {
	i := slices.IndexFunc(w.o.Kinds, func(k source.Kind) bool { return k.Name == name })
	if i < 0 || !tunnel.Readable(w.o.Kinds[i]) {
		return source.Kind{}, false
	}
	return w.o.Kinds[i], true
}

// hello is what the server is told: nothing of what stands in the file but its policy,
// the kind, and whether what decides who is read has changed.
func (w *worker) hello() *tunnel.Hello {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := &tunnel.Hello{Program: w.o.Version, Kind: w.file.Kind, Policy: w.file.Policy}
	if kind, ok := w.kind(w.file.Kind); ok {
		sum := sha256.New()
		for _, o := range kind.Options {
			if v, set := w.file.Backend[o.Name]; set && o.Basis {
				sum.Write(fmt.Appendf(nil, "%s=%v\n", o.Name, v))
			}
		}
		for _, name := range source.EngineOptions {
			if text, err := json.Marshal(w.file.Backend[name]); err == nil && w.file.Backend[name] != nil {
				if h.Shown == nil {
					h.Shown = map[string]json.RawMessage{}
				}
				h.Shown[name] = text
			}
		}
		h.Basis = hex.EncodeToString(sum.Sum(nil)[:16])
	}
	return h
}

// now is what the file said when it was last read.
func (w *worker) now() *config.Agent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.file
}

// opened decides what a call is about: what stands in the file, or where there is
// nothing, what the server sent.
func (w *worker) opened(file *config.Agent, kind string, sent map[string]json.RawMessage) (source.Kind, setting.Values, source.Env, error) {
	env := source.Env{Dir: file.Dir}
	if file.Kind != "" {
		if kind != "" || len(sent) > 0 {
			return source.Kind{}, nil, env, fault.New(fault.Denied, "the agent has settings of its own, and takes none of the server")
		}
		k, _ := w.kind(file.Kind)
		return k, file.Backend, env, nil
	}
	if kind == "" {
		return source.Kind{}, nil, env, fault.New(fault.Invalid, "the agent's file has no backend, and the server sends none").
			WithHint("write a `backend:` into adc.yaml, or give the connection a source")
	}
	k, ok := w.kind(kind)
	if !ok {
		return k, nil, env, fault.New(fault.Denied, "the agent reads no source %q", kind)
	}
	v, err := tunnel.DecodeSettings(k, sent)
	return k, v, env, err
}

// Open opens a source for one call.
func (w *worker) Open(kind string, sent map[string]json.RawMessage) (source.Source, error) {
	file := w.now()
	k, v, env, err := w.opened(file, kind, sent)
	if err != nil {
		return nil, err
	}
	return k.Open(v, env)
}

// Authenticator gives one that stays open between calls.
func (w *worker) Authenticator(kind string, sent map[string]json.RawMessage) (source.Authenticator, func(), error) {
	file := w.now()
	k, v, env, err := w.opened(file, kind, sent)
	if err != nil {
		return nil, nil, err
	}
	if k.Authenticator == nil {
		return nil, nil, fault.New(fault.Invalid, "people of a source %s have no passwords there that could be tried", k.Name)
	}
	text, err := json.Marshal(sent)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(text)
	key := kind + hex.EncodeToString(sum[:])
	w.mu.Lock()
	defer w.mu.Unlock()
	if file != w.file {
		return nil, nil, fault.New(fault.Unavailable, "the agent's file was read anew at this moment")
	}
	i := slices.IndexFunc(w.kept, func(o *kept) bool { return o.key == key })
	var one *kept
	if i >= 0 {
		one = w.kept[i]
		w.kept = slices.Delete(w.kept, i, i+1)
	} else {
		a, err := k.Authenticator(v, env)
		if err != nil {
			return nil, nil, err
		}
		one = &kept{key: key, a: a}
	}
	w.kept = append(w.kept, one)
	if len(w.kept) > mostKept {
		w.kept[0].gone = true
		w.kept[0].closeUnused()
		w.kept = w.kept[1:]
	}
	one.users++
	return one.a, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		one.users--
		one.closeUnused()
	}, nil
}
