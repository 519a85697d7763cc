package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/uploads"
)

// MostUploaded is the largest file a connection takes, whatever its settings say:
// it passes through memory and is kept in the database.
const MostUploaded = 256 << 20

// Upload keeps a file as the newest of a connection that reads what is given
// through the API. What is too large or empty is refused, and the file before stays
// the newest; whether it is a table is found out by the run that reads it.
func (r *Registry) Upload(ctx context.Context, who Who, alias, name string, body io.Reader) (uploads.Upload, error) {
	e, err := r.Describe(ctx, who.Organization, alias)
	if err != nil {
		return uploads.Upload{}, err
	}
	c := e.Connection
	if !c.Backend.Bool("upload") {
		return uploads.Upload{}, fault.New(fault.Conflict, "connection %s takes no files: it reads %s", alias, c.Kind).
			WithHint("set `upload: true` below its backend `csv`")
	}
	limit := min(c.Backend.Size("max_size"), MostUploaded)
	content, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return uploads.Upload{}, fault.New(fault.Invalid, "the file broke off: %w", err).WithHint("send it again; the one before is still in use")
	}
	switch {
	case int64(len(content)) > limit:
		return uploads.Upload{}, fault.New(fault.Invalid, "the file is larger than %d bytes", limit).WithHint("if it is right, raise max_size of the connection")
	case len(strings.TrimSpace(string(content))) == 0:
		return uploads.Upload{}, fault.New(fault.Invalid, "the file is empty").WithHint("the one before is still in use")
	}
	if name = clean(name); name == "" {
		name = alias + ".csv"
	}
	at := r.now()
	f := uploads.Upload{ID: "f" + strings.ToLower(rand.Text()), Name: name, Actor: who.Actor, At: at}
	err = r.Store.DB.Write(ctx, func(tx *db.Tx) error {
		var err error
		if f, err = r.Store.UploadTable.Add(ctx, tx, c.Organization, alias, f, content); err != nil {
			return err
		}
		after, err := json.Marshal(f)
		if err != nil {
			return err
		}
		return events.Append(ctx, tx, []event.Event{{Type: event.ConnectionFileUploaded, Organization: c.Organization, Connection: &c.Alias, At: at, Actor: who.Actor, After: after}})
	})
	return f, err
}

// clean makes a name of a file that may be shown: one line, no folders.
func clean(name string) string {
	name = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == utf8.RuneError {
			return -1
		}
		return c
	}, name)
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	for len(name) > 200 {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// Uploads lists the files of a connection, the newest first.
func (r *Registry) Uploads(ctx context.Context, who Who, alias string) ([]uploads.Upload, error) {
	if _, err := r.Describe(ctx, who.Organization, alias); err != nil {
		return nil, err
	}
	return r.Store.UploadTable.List(ctx, alias)
}
