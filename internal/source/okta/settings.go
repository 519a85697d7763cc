package okta

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// Who is read.
const (
	peopleAll    = "all"
	peopleGroups = "groups"
	peopleApp    = "app"
)

// What managerId refers to.
const (
	managerLogin  = "login"
	managerNumber = "employeeNumber"
	managerID     = "id"
	managerNone   = "none"
)

var options = append([]setting.Option{
	{Name: "url", Place: true, Required: true, Label: "Address", Help: "Of the organization: https://example.okta.com, or its own domain. Not the one with -admin in it."},
	{Name: "token", Secret: true, Label: "API token", Help: "A token (SSWS) of an administrator who may read, in place of a client. It ends with that account, and after 30 days without use."},
	{Name: "client_id", Place: true, Label: "Client ID", Help: "Of an API Services app with public key / private key authentication: Okta's own advice, in place of a token."},
	{Name: "key", Secret: true, Lines: true, Label: "Private key", Help: "The client's private key: a JWK as Okta shows it once, or PEM text."},
	{Name: "key_file", Place: true, Local: true, Label: "Key file", Help: "A file with the private key, JWK or PEM, in place of the key itself."},
	{Name: "key_id", Label: "Key ID", Help: "The kid Okta shows for the key; left out, the one in the JWK."},

	{Name: "people", Default: peopleGroups, Choices: []string{peopleGroups, peopleApp, peopleAll}, Basis: true, Label: "People",
		Help: "Who is read: those in the groups selected below (nobody, with none selected), those whom an application is assigned to, or all people of the organization."},
	{Name: "app", Basis: true, Label: "Application", Help: "With people: app, the ID of the application (0oa…), as the address of its page in Okta shows it."},
	{Name: "deprovisioned", Type: setting.Bool, Default: "true", Basis: true, Label: "Deprovisioned people",
		Help: "People whom Okta has deactivated are read as well, so that they are disabled here. Without it they vanish, which makes them leavers."},
	{Name: "manager", Default: managerLogin, Choices: []string{managerLogin, managerNumber, managerID, managerNone}, Basis: true, Label: "Manager",
		Help: "What the profile's managerId holds, which Okta leaves free: the manager's login, employee number (which costs a request for 40 managers) or ID in Okta; with none, managers are not read."},

	{Name: "groups.names", Type: setting.List, Basis: true, Label: "Groups by name", Help: "The exact names of groups that are read. With none of the settings of groups, no group is read; with people: groups, nobody is."},
	{Name: "groups.include", Basis: true, Label: "Groups by expression", Help: "A regular expression; groups whose name it matches are read. .* selects all."},
	{Name: "groups.exclude", Basis: true, Label: "But not", Help: "A regular expression; groups whose name it matches are not read, whatever selects them."},
	{Name: "groups.ids", Type: setting.List, Basis: true, Label: "Groups by ID", Help: "IDs of groups (00g…), which stay when a group is renamed."},

	{Name: "rate_share", Type: setting.Int, Default: "50", Advanced: true, Label: "Rate share",
		Help: "How many percent of each rate limit that Okta tells (X-Rate-Limit-Limit) readings may use up; the rest is left to other uses."},
	{Name: "parallel", Type: setting.Int, Default: "4", Advanced: true, Label: "Requests at once", Help: "How many requests are sent at the same time, 1 to 20. Okta allows an organization 75 in all, a free one 35."},
	{Name: "sync.page_size", Type: setting.Int, Default: "200", Advanced: true, Label: "Page size", Help: "Entries asked for at a time, 1 to 200."},
	{Name: "sync.overlap", Type: setting.Duration, Default: "5m", Advanced: true, Label: "Overlap", Help: "How much of the time before the last reading a reading of changes asks for again."},
	{Name: "sync.sweep_every", Type: setting.Duration, Default: "24h", Advanced: true, Label: "Sweep",
		Help: "How often a reading of changes also asks for the IDs of all entries: Okta says nowhere else that somebody was deleted."},
	{Name: "sync.full_every", Type: setting.Duration, Default: "168h", Advanced: true, Label: "Full reading", Help: "How often everything is read again, whatever changed."},
	{Name: "timeout", Type: setting.Duration, Default: "60s", Advanced: true, Label: "Patience", Help: "For one answer. A reading may take any time as long as answers come."},
	{Name: "tls.ca_file", Place: true, Local: true, Advanced: true, Label: "CA file", Help: "Certificates (PEM) to trust beside the system's."},
}, source.ProviderOptions()...)

// settings are the decoded and checked settings of one connection.
type settings struct {
	root          string
	token         string
	clientID      string
	key           *jose.JSONWebKey // private
	secrets       []string
	people        string
	app           string
	deprovisioned bool
	manager       string
	names, ids    []string
	include       *regexp.Regexp
	exclude       *regexp.Regexp
	share         int
	parallel      int
	pageSize      int
	overlap       time.Duration
	sweepEvery    time.Duration
	fullEvery     time.Duration
	timeout       time.Duration
	caFile        string
	guard         source.Guard
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "okta: "+format, args...)
}

func decode(v setting.Values, env source.Env) (*settings, error) {
	if err := setting.Defaults(options, v); err != nil {
		return nil, err
	}
	if _, err := source.ProviderOf(v); err != nil {
		return nil, err
	}
	s := &settings{
		token: strings.TrimSpace(v.String("token")), clientID: strings.TrimSpace(v.String("client_id")),
		people: v.String("people"), app: strings.TrimSpace(v.String("app")), deprovisioned: v.Bool("deprovisioned"), manager: v.String("manager"),
		names: v.List("groups.names"), ids: v.List("groups.ids"),
		share: v.Int("rate_share"), parallel: v.Int("parallel"), pageSize: v.Int("sync.page_size"),
		overlap: v.Duration("sync.overlap"), sweepEvery: v.Duration("sync.sweep_every"), fullEvery: v.Duration("sync.full_every"), timeout: v.Duration("timeout"),
		caFile: within(env.Dir, v.String("tls.ca_file")), guard: env.Guard,
	}
	var err error
	if s.root, err = rootOf(v.String("url"), env.Guard); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		name      string
		n         int
		low, high int
	}{{"rate_share", s.share, 1, 100}, {"parallel", s.parallel, 1, 20}, {"sync.page_size", s.pageSize, 1, 200}} {
		if c.n < c.low || c.n > c.high {
			return nil, invalid("%s must be from %d to %d", c.name, c.low, c.high)
		}
	}
	if s.people == peopleApp && s.app == "" {
		return nil, invalid("people is app, but app is not set").WithHint("set app to the ID of the application: the last part of its page's address in Okta, beginning with 0oa")
	}
	if s.people != peopleApp && s.app != "" {
		return nil, invalid("app is set, but people is %s", s.people).WithHint("set people to app, or take app out")
	}
	for name, into := range map[string]**regexp.Regexp{"groups.include": &s.include, "groups.exclude": &s.exclude} {
		text := v.String(name)
		if text == "" {
			continue
		}
		if *into, err = regexp.Compile(text); err != nil {
			return nil, invalid("%s: %w", name, err).WithHint("write a regular expression as in ^Staff")
		}
	}
	if err := s.credentials(v, env); err != nil {
		return nil, err
	}
	return s, nil
}

func within(dir, file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}

// rootOf is the address of the organization without what people copy along.
func rootOf(text string, guard source.Guard) (string, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "/")
	if text != "" && !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := rest.Address(text, guard)
	if err != nil {
		return "", invalid("url: %w", err).WithHint("write https://example.okta.com")
	}
	if u.Path != "" {
		return "", invalid("url holds more than the host").WithHint("write %s", (&url.URL{Scheme: u.Scheme, Host: u.Host}).String())
	}
	host := strings.ToLower(u.Hostname())
	if name, below, ok := strings.Cut(host, "-admin."); ok && (strings.HasPrefix(below, "okta") || strings.HasPrefix(below, "trexcloud")) {
		return "", invalid("url is the address of Okta's administration").WithHint("take out -admin: https://%s.%s", name, below)
	}
	return u.Scheme + "://" + u.Host, nil
}

// credentials takes the token or the client's key: one of them.
func (s *settings) credentials(v setting.Values, env source.Env) error {
	key, file := v.String("key"), within(env.Dir, v.String("key_file"))
	switch {
	case s.token != "" && s.clientID != "":
		return invalid("both token and client_id are set").WithHint("keep one of them; Okta advises the client")
	case s.token != "":
		s.secrets = []string{s.token}
		return nil
	case s.clientID == "":
		return invalid("neither token nor client_id is set").WithHint("set client_id and key of an API Services app, or token")
	case key == "" && file == "":
		return invalid("client_id is set, but neither key nor key_file").WithHint("Okta takes no client secret for its own API: it wants a private key")
	case key != "" && file != "":
		return invalid("both key and key_file are set").WithHint("keep one of them")
	}
	name := "key"
	if file != "" {
		name = "key_file"
		b, err := os.ReadFile(file) //nolint:gosec // an operator names it
		if err != nil {
			return invalid("key_file: %w", err)
		}
		key = string(b)
	}
	parsed, err := parseKey(key)
	if err != nil {
		return invalid("%s: %s", name, err).WithHint("give the private key as PEM, or as the JWK that Okta showed when it made the key")
	}
	if id := strings.TrimSpace(v.String("key_id")); id != "" {
		parsed.KeyID = id
	}
	if parsed.KeyID == "" {
		return invalid("the key has no ID").WithHint("set key_id to the KID that Okta shows beside the public key")
	}
	s.key = parsed
	return nil
}

// selects says whether groups are selected at all.
func (s *settings) selects() bool { return len(s.names) > 0 || len(s.ids) > 0 || s.include != nil }

// selected says whether a group is.
func (s *settings) selected(id, name string) bool {
	if s.exclude != nil && s.exclude.MatchString(name) {
		return false
	}
	return slices.Contains(s.ids, id) || slices.Contains(s.names, name) || s.include != nil && s.include.MatchString(name)
}

// who is read, in words.
func (s *settings) who() string {
	switch s.people {
	case peopleGroups:
		if !s.selects() {
			return "nobody: no groups are selected"
		}
		return "the members of " + s.groups()
	case peopleApp:
		return "those whom the application " + s.app + " is assigned to"
	}
	return "all people"
}

// groups that are selected, in words.
func (s *settings) groups() string {
	var parts []string
	if len(s.names) > 0 {
		parts = append(parts, fmt.Sprintf("the groups %q", s.names))
	}
	if s.include != nil {
		parts = append(parts, "the groups that match "+s.include.String())
	}
	if len(s.ids) > 0 {
		parts = append(parts, "the groups with the IDs "+strings.Join(s.ids, ", "))
	}
	if s.exclude != nil {
		parts = append(parts, "but none that match "+s.exclude.String())
	}
	return strings.Join(parts, ", ")
}

// basis stands for all that decides who and what is read. What changes meanwhile is
// seen under the same one alone.
func (s *settings) basis(attributes []string) string {
	h := sha256.New()
	asked := slices.Clone(attributes)
	for i := range asked {
		asked[i] = strings.ToLower(asked[i])
	}
	slices.Sort(asked)
	_, _ = fmt.Fprintf(h, "%q %q %q %v %q %q %q %q %q %q %v", s.root, s.people, s.app, s.deprovisioned, s.manager, s.names, s.ids, s.include, s.exclude, slices.Compact(asked), attributes == nil)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
