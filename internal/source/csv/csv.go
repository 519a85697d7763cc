// Package csv reads people from a table: a file on disk or one behind an https
// address. It hands records on to the mirror with the table's own column names,
// and the row's password beside them, never among them.
//
// A whole example:
//
//	backend:
//	  csv:
//	    path: people.csv
//	    key: login
//	    columns: {email: "E-Mail Address", badge: "Badge No"}
//	    default_password: ${START_PASSWORD}
//
// turns
//
//	Login;First Name;Last Name;E-Mail Address;Badge No;Manager
//	jdoe;Jane;Doe;jane@example.org;17;boss
//
// into a record with ID, Name and Ref "jdoe", whose attributes are the six
// columns. The starting mapping takes username from Login, first_name and
// last_name from the columns of that name, email and badge as told.
//
// Rows are numbered by the line on which they begin, the header being row 1. A
// row that cannot be used is a problem of its own; where not even its key is
// certain, the reading is incomplete, since the person in it may be anybody. So
// it is where the file ends in the middle of a row.
package csv

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Kind is the CSV file as a kind of directory.
var Kind = source.Kind{
	Name:      "csv",
	Title:     "CSV file",
	Options:   options,
	Open:      open,
	Refer:     account.Fold,
	Passwords: true,
}

var options = append([]setting.Option{
	{Name: "path", Label: "File", Help: "The file, from the folder of the configuration on. Either this, url or upload.", Basis: true, Local: true},
	{Name: "url", Label: "Address", Help: "An https address to fetch the file from. Fetched again only when it has changed, where the server can tell. One inside your network has to stand in rollcall.yaml, or its network in `webhooks.allow_private`.", Basis: true, Place: true},
	{Name: "upload", Type: setting.Bool, Label: "Given through the API", Help: "The newest file given through the API is read; a run follows each.", Basis: true},
	{Name: "username", Label: "User name", Help: "User name for the address (HTTP Basic).", Place: true},
	{Name: "password", Label: "Password", Help: "Password for the address.", Secret: true},
	{Name: "key", Label: "Key column", Help: "The column by which a row is known from one reading to the next.", Default: "username", Basis: true},
	{Name: "columns", Type: setting.List, Label: "Columns", Help: "Columns that are not called like our fields, as field=Column name; other names become custom attributes."},
	{Name: "manager", Label: "Manager column", Help: "The column with the username or the key of the person's manager.", Default: "manager"},
	{Name: "passwords", Label: "Passwords", Help: "Whether each row needs a password of its own or the default one. With none, columns of passwords are not looked at.", Default: "required", Choices: []string{"required", "none"}},
	{Name: "password_column", Label: "Password column", Help: "The column with a person's password. It is hashed at once and kept nowhere else.", Default: "password"},
	{Name: "default_password", Label: "Default password", Help: "The password of rows that have none.", Secret: true},
	{Name: "encoding", Label: "Encoding", Help: "With auto: a byte order mark, then UTF-8 unless more bytes are wrong in it than characters right, then Windows-1252.", Default: "auto", Choices: []string{"auto", "utf-8", "utf-16", "windows-1252"}, Advanced: true},
	{Name: "separator", Label: "Separator", Help: "With auto: the one that is most frequent in the header.", Default: "auto", Choices: []string{"auto", "comma", "semicolon", "tab"}, Advanced: true},
	{Name: "max_size", Type: setting.Size, Label: "Largest size", Help: "A larger file is refused.", Default: "64MB", Advanced: true},
	{Name: "timeout", Type: setting.Duration, Label: "Time limit", Help: "For fetching the file.", Default: "60s", Advanced: true},
	{Name: "tls.ca_file", Label: "CA file", Help: "Certificates (PEM) to trust beside the system's.", Advanced: true, Local: true, Place: true},
}, source.ProviderOptions()...)

// table is one opened connection's file.
type table struct {
	path     string // "" for a remote or uploaded one
	url      *url.URL
	upload   func(context.Context) (io.ReadCloser, error)
	client   *http.Client
	settings setting.Values
	columns  []column // the columns option, in its order
}

// column says which column holds a field.
type column struct{ field, name string }

func open(v setting.Values, env source.Env) (source.Source, error) {
	if err := setting.Defaults(options, v); err != nil {
		return nil, err
	}
	if _, err := source.ProviderOf(v); err != nil {
		return nil, err
	}
	t := &table{settings: v}
	path, address, uploaded := v.String("path"), v.String("url"), v.Bool("upload")
	switch {
	case path == "" && address == "" && !uploaded:
		return nil, fault.New(fault.Invalid, "csv: neither path nor url is set").WithHint("set path to a file, url to an https address, or upload to true")
	case path != "" && address != "", uploaded && path+address != "":
		return nil, fault.New(fault.Invalid, "csv: more than one of path, url and upload is set").WithHint("keep one of them")
	case uploaded:
		if t.upload = env.Upload; t.upload == nil {
			return nil, fault.New(fault.Invalid, "csv: upload is set, and there is no database that keeps files here")
		}
	case path != "":
		if v.String("username") != "" || v.String("password") != "" {
			return nil, fault.New(fault.Invalid, "csv: username and password belong to url, not to path")
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(env.Dir, path)
		}
		t.path = path
	default:
		if err := t.openURL(address, env); err != nil {
			return nil, err
		}
	}
	for _, pair := range v.List("columns") {
		field, name, ok := strings.Cut(pair, "=")
		field, name = strings.TrimSpace(field), strings.TrimSpace(name)
		if !ok || field == "" || name == "" {
			return nil, fault.New(fault.Invalid, "csv: columns: %q is not field=Column name", pair).
				WithHint("write columns: {email: \"E-Mail Address\"}")
		}
		t.columns = append(t.columns, column{field, name})
	}
	if t.settings.Size("max_size") <= 0 {
		return nil, fault.New(fault.Invalid, "csv: max_size must be more than 0")
	}
	return t, nil
}

// Close lets go of idle connections.
func (t *table) Close() error {
	if t.client != nil {
		t.client.CloseIdleConnections()
	}
	return nil
}

// where is the table's place as it may be shown: without user, query or fragment.
func (t *table) where() string {
	switch {
	case t.upload != nil:
		return "the file given through the API"
	case t.url == nil:
		return t.path
	}
	return shown(t.url)
}

// copyOf is the file to read and what is to be done with it afterwards.
type copyOf struct {
	*os.File
	info  os.FileInfo // as it was when opened
	state remoteState // for the cursor
	temp  bool
}

func (c *copyOf) Close() error {
	err := c.File.Close()
	if c.temp {
		if rerr := os.Remove(c.File.Name()); err == nil {
			err = rerr
		}
	}
	return err
}

// openLocal opens the file on disk.
func (t *table) openLocal() (*copyOf, error) {
	info, err := os.Stat(t.path)
	if err == nil && !info.Mode().IsRegular() { // to open a named pipe waits for somebody who writes
		return nil, fault.New(fault.Invalid, "csv: open %s: it is %s, not a file", t.path, irregular(info.Mode())).
			WithHint("set path to a regular file: the table is read more than once")
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(t.path)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "csv: %w", err).
			WithHint("the file must exist and be readable for the user rollcall runs as")
	}
	info, err = f.Stat()
	if err == nil && info.Size() > t.settings.Size("max_size") {
		err = t.tooLarge()
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &copyOf{File: f, info: info}, nil
}

// irregular names what stands in a file's place.
func irregular(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&os.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&os.ModeSocket != 0:
		return "a socket"
	case mode&os.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

func (t *table) tooLarge() error {
	return fault.New(fault.Invalid, "csv: read %s: larger than %d bytes", t.where(), t.settings.Size("max_size")).
		WithHint("if the file is right, raise max_size")
}

// changed reports whether the file is another than when it was opened.
func (c *copyOf) changed() error {
	info, err := c.Stat()
	if err != nil {
		return fault.New(fault.Unavailable, "csv: %w", err)
	}
	if info.Size() != c.info.Size() || !info.ModTime().Equal(c.info.ModTime()) {
		return errChanged
	}
	return nil
}

var errChanged = fault.New(fault.Unavailable, "csv: the file changed while it was read").
	WithHint("write it under another name and rename it when it is complete; the next reading takes it up")

// Preset reads the header and proposes a mapping of the columns it knows.
func (t *table) Preset(ctx context.Context) (source.Preset, error) {
	head, err := t.head(ctx)
	if err != nil {
		return source.Preset{}, err
	}
	l, err := t.inspectHead(head)
	if err != nil {
		return source.Preset{}, err
	}
	c, err := t.resolve(l.header)
	if err != nil {
		return source.Preset{}, err
	}
	return source.Preset{Vendor: "CSV", Anchor: l.header[c.key], Mapping: c.mapping(), Attributes: c.named(l.header)}, nil
}

// head is the first part of the file, enough for any header.
func (t *table) head(ctx context.Context) ([]byte, error) {
	if t.url != nil {
		return t.fetchHead(ctx)
	}
	f, err := t.openCopy(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, headSize))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "csv: %w", err)
	}
	return b, nil
}
