package service

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// eventLog takes what is logged; the event log of Windows is one.
type eventLog interface {
	Info(id uint32, text string) error
	Warning(id uint32, text string) error
	Error(id uint32, text string) error
}

// The numbers of our events: one for each type, since people filter by type and text.
const (
	infoEvent uint32 = iota + 1
	warningEvent
	errorEvent
)

// mostEvent is how many characters the event log takes at most.
const mostEvent = 31_000

// events makes an event of each record that another handler wrote as a line.
type events struct {
	slog.Handler
	line *line
}

// line is what the handler beside wrote last.
type line struct {
	mu   sync.Mutex
	text bytes.Buffer
	to   eventLog
}

func (l *line) Write(b []byte) (int, error) { return l.text.Write(b) }

// eventLogger writes to the event log what made would write as lines.
func eventLogger(to eventLog, made func(io.Writer) *slog.Logger) *slog.Logger {
	l := &line{to: to}
	return slog.New(events{made(l).Handler(), l})
}

func (e events) Handle(ctx context.Context, r slog.Record) error {
	e.line.mu.Lock()
	defer e.line.mu.Unlock()
	e.line.text.Reset()
	if err := e.Handler.Handle(ctx, r); err != nil {
		return err
	}
	text := strings.ToValidUTF8(strings.TrimSpace(strings.ReplaceAll(e.line.text.String(), "\x00", "")), "")
	if len(text) > mostEvent {
		text = strings.ToValidUTF8(text[:mostEvent], "") + " ..."
	}
	switch {
	case r.Level >= slog.LevelError:
		return e.line.to.Error(errorEvent, text)
	case r.Level >= slog.LevelWarn:
		return e.line.to.Warning(warningEvent, text)
	}
	return e.line.to.Info(infoEvent, text)
}

func (e events) WithAttrs(attrs []slog.Attr) slog.Handler {
	return events{e.Handler.WithAttrs(attrs), e.line}
}

func (e events) WithGroup(name string) slog.Handler {
	return events{e.Handler.WithGroup(name), e.line}
}
