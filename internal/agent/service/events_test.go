package service

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// written is an event log in memory.
type written struct {
	mu  sync.Mutex
	all []string
}

func (w *written) add(kind string, id uint32, text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, fmt.Sprint(kind, " ", id, " ", text))
	return nil
}

func (w *written) Info(id uint32, text string) error    { return w.add("info", id, text) }
func (w *written) Warning(id uint32, text string) error { return w.add("warning", id, text) }
func (w *written) Error(id uint32, text string) error   { return w.add("error", id, text) }

func lines(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestWhatIsLoggedIsAnEventOfItsLevel(t *testing.T) {
	var w written
	log := eventLogger(&w, lines)
	log.Debug("a")
	log.Info("b", "node", "n 1")
	log.With("x", 1).Warn("c")
	log.WithGroup("g").Error("d", "y", 2)
	log.Log(t.Context(), slog.LevelError+4, "e")
	if want := []string{"info 1 msg=a", `info 1 msg=b node="n 1"`, "warning 2 msg=c x=1", "error 3 msg=d g.y=2", "error 3 msg=e"}; !slices.Equal(w.all, want) {
		t.Errorf("%q, want %q", w.all, want)
	}
}

func TestAnEventIsATextThatWindowsTakes(t *testing.T) {
	var w written
	log := eventLogger(&w, func(w io.Writer) *slog.Logger { return slog.New(raw{w}) })
	log.Error("before\x00after\xff")
	log.Error(strings.Repeat("ü", mostEvent))
	if w.all[0] != "error 3 beforeafter" {
		t.Errorf("%q", w.all[0])
	}
	if long := w.all[1]; !utf8.ValidString(long) || len(long) > mostEvent+20 || !strings.HasSuffix(long, " ...") {
		t.Errorf("%d bytes, ending in %q", len(long), long[len(long)-10:])
	}
}

// raw writes messages as they are.
type raw struct{ io.Writer }

func (raw) Enabled(context.Context, slog.Level) bool { return true }
func (r raw) Handle(_ context.Context, rec slog.Record) error {
	_, err := r.Write([]byte(rec.Message))
	return err
}
func (r raw) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r raw) WithGroup(string) slog.Handler      { return r }

func TestLinesOfManyDoNotMix(t *testing.T) {
	var w written
	log := eventLogger(&w, lines)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { log.With("n", i).Info("x", "m", i) })
	}
	all.Wait()
	for i := range 50 {
		if !slices.Contains(w.all, fmt.Sprintf("info 1 msg=x n=%d m=%d", i, i)) {
			t.Errorf("line %d is lost", i)
		}
	}
}
