// Package config reads rollcall.yaml and the environment, and hands on decoded
// settings: connections and organizations to the app, and through it each
// backend's values to source.Open. Every error names file, line and column, and
// the nearest key or choice there is; all of them are reported at once.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Config is a whole configuration, decoded and checked. File names in Database
// and KeyFile are resolved from Dir; those inside a connection's Backend are
// left to the source, which is given Dir.
type Config struct {
	Path          string // the file it came from; "" when there was none
	Dir           string // relative file names start here
	Listen        string // host:port
	PublicURL     string
	Database      string // "sqlite:PATH" or "postgres://..."
	KeyFile       string // the installation's secret key; beside the database file unless named
	Workers       int    // runs a server carries out at a time
	Retention     setting.Retention
	Rates         setting.Rates
	Server        setting.Server
	Console       setting.Console
	SignIn        setting.SignIn
	Webhooks      setting.Webhooks
	Notifications setting.Notifications
	Organizations []setting.Organization
	Connections   []setting.Connection
}

// DefaultPath is read when no other file is named.
const DefaultPath = "rollcall.yaml"

// DefaultKeyFile lies beside the database file, or the configuration, unless key_file names another.
const DefaultKeyFile = "rollcall.key"

// DefaultPublicURL stands where nobody said how people reach the server.
const DefaultPublicURL = "http://localhost:8080"

// Load reads the file at path and the environment through lookup (usually
// os.LookupEnv). With an empty path it reads DefaultPath if that exists, and
// goes by defaults otherwise. Errors are a fault.NotFound for a named file that
// is not there and a fault.Invalid that lists every problem, one per line.
func Load(path string, kinds []source.Kind, lookup func(env string) (string, bool)) (*Config, error) {
	named := path != ""
	if !named {
		path = DefaultPath
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return Parse("", nil, kinds, lookup)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "config: read %s: %w", path, err).
			WithHint("create it, or name another with --config")
	case err != nil:
		return nil, fault.New(fault.Invalid, "config: read %s: %w", path, err)
	}
	return Parse(path, data, kinds, lookup)
}

// Parse is Load for a file already read; name stands in errors, and its folder
// is where relative file names start.
func Parse(name string, data []byte, kinds []source.Kind, lookup func(env string) (string, bool)) (*Config, error) {
	return parse(name, data, kinds, lookup, false)
}

func parse(name string, data []byte, kinds []source.Kind, lookup func(env string) (string, bool), apart bool) (*Config, error) {
	d := &decoder{apart: apart, name: name, dir: filepath.Dir(name), kinds: kinds, lookup: lookup}
	if lookup == nil {
		d.lookup = func(string) (string, bool) { return "", false }
	}
	if name == "" {
		d.name, d.dir = DefaultPath, "."
	}
	// Absolute, or the folder we are in: names resolved from it twice stay the same.
	if d.dir != "." {
		abs, err := filepath.Abs(d.dir)
		if err != nil {
			return nil, fault.New(fault.Internal, "config: folder of %s: %w", name, err)
		}
		d.dir = abs
	}
	c := defaults()
	c.Path, c.Dir = name, d.dir
	root := d.parse(data)
	if root == nil {
		return nil, d.err()
	}
	if root.shape != mapping {
		d.add(root, "expected keys such as connections:, found %s", root.shape)
		return nil, d.err()
	}
	if !apart { // otherwise the variables are those of an installation's own file
		d.environ("ROLLCALL_")
	}
	d.block("", "ROLLCALL", root, d.topKeys(c))
	d.tell(root, c)
	d.stray([]string{"ROLLCALL_CONNECTIONS", "ROLLCALL_ORGANIZATIONS"})
	d.finish(c)
	if err := d.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func defaults() *Config {
	return &Config{Listen: "127.0.0.1:8080", PublicURL: DefaultPublicURL, Database: "sqlite:rollcall.db", Workers: 4, Retention: setting.DefaultRetention(),
		Rates: setting.DefaultRates(), Server: setting.DefaultServer(), Console: setting.DefaultConsole(), SignIn: setting.DefaultSignIn(), Notifications: setting.Notifications{SMTP: setting.SMTP{TLS: setting.SMTPStartTLS}}}
}

func (d *decoder) topKeys(c *Config) []key {
	return []key{
		text("listen", &c.Listen, "Address and port the server listens on.", checkListen),
		text("public_url", &c.PublicURL, "The address people and applications reach Rollcall under.", checkURL),
		secret(text("database", &c.Database, "`sqlite:FILE`, or `postgres://...` for more than one node.", checkDatabase)),
		text("key_file", &c.KeyFile, "File with the secret key of the installation. Unless named it is `rollcall.key` beside the database file, and made at the first start.", nil),
		count("workers", &c.Workers, "How many runs one server carries out at a time. Each takes memory for what it reads, and a connection of its directory. 0 carries out none: such a node serves, and others run."),
		{name: "retention", help: "For how long what happened is kept. What is older is pruned at the end of runs, a part at a time, and by `rollcall doctor --prune`.", keys: retentionKeys(&c.Retention)},
		{name: "rate_limits", help: "How many requests to the API each key may make, on each node.", keys: rateKeys(&c.Rates)},
		{name: "log", help: "What the server writes to standard error.", keys: []key{
			choice("format", &c.Server.LogFormat, "Lines of text, or of JSON.", "text", "json"),
			choice("level", &c.Server.LogLevel, "The least that is written.", "debug", "info", "warn", "error"),
		}},
		{name: "tracing", help: "Traces by OpenTelemetry.", keys: []key{
			text("endpoint", &c.Server.TraceEndpoint, "Collector for OTLP over HTTP, such as `http://collector:4318`. None are sent unless set.", checkURL),
			share("share", &c.Server.TraceShare, "The share of runs and requests that is traced."),
		}},
		duration("drain", &c.Server.Drain, "How long requests and runs may take to end after SIGTERM. A run that takes longer is stopped, and carried on by another node or at the next start."),
		{name: "console", help: "How people sign in to the console, and for how long.", keys: []key{
			session("session_idle", &c.Console.SessionIdle, "A session that was not used for so long ends."),
			session("session_max", &c.Console.SessionMax, "Any session ends after so long, however much it was used."),
			d.proxies(&c.Console.TrustedProxies),
		}},
		{name: "sign_in", help: "How people sign in with the password of their directory, and for how long. A connection has a `sign_in` of its own.", keys: signInKeys(&c.SignIn)},
		{name: "webhooks", help: "Where deliveries of events may go.", keys: d.webhookKeys(&c.Webhooks)},
		{name: "notifications", help: "Who is told when a run fails, a plan is held, a connection is in quarantine, a credential runs out, a licence is nearly full or a webhook was disabled.", keys: d.notificationKeys(&c.Notifications)},
		{
			name: "organizations", typ: "a list", help: "The tenants. Without any, one called `default` is made.",
			schema: schema{"type": "array", "items": object(organizationKeys(&setting.Organization{}))},
			deeper: true,
			node:   func(path string, n *node) { d.organizations(path, n, c) },
		},
		{
			name: "connections", typ: "a list", help: "The directories, one entry each.",
			larger: func() schema { return schema{"type": "array", "items": d.connectionSchema()} },
			deeper: true,
			node:   func(path string, n *node) { d.connections(path, n, c) },
		},
	}
}

// finish checks what concerns more than one key and resolves file names.
func (d *decoder) finish(c *Config) {
	if len(c.Organizations) == 0 && !d.apart {
		c.Organizations = []setting.Organization{{ID: defaultOrganization, Name: "Default"}}
	}
	keyDir := c.Dir
	if path, ok := strings.CutPrefix(c.Database, "sqlite:"); ok {
		path = d.beside(path)
		c.Database, keyDir = "sqlite:"+path, filepath.Dir(path)
	}
	if c.KeyFile == "" {
		c.KeyFile = filepath.Join(keyDir, DefaultKeyFile)
	} else {
		c.KeyFile = d.beside(c.KeyFile)
	}
}

func checkListen(s string) error {
	if _, _, err := net.SplitHostPort(s); err != nil {
		return errors.New("expected host:port, such as 127.0.0.1:8080")
	}
	return nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("expected an address such as https://rollcall.example.com")
	}
	return nil
}

func checkDatabase(s string) error {
	path, isFile := strings.CutPrefix(s, "sqlite:")
	if isFile && path != "" || strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") {
		return nil
	}
	return fmt.Errorf("expected sqlite:FILE or postgres://USER@HOST/NAME")
}
