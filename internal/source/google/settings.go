package google

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// Who is read.
const (
	peopleAll    = "all"
	peopleGroups = "groups"
)

var options = []setting.Option{
	{Name: "key", Secret: true, Lines: true, Label: "Service account key", Help: "The whole text of the service account's key file (JSON)."},
	{Name: "key_file", Place: true, Local: true, Label: "Key file", Help: "The key file itself, in place of its text."},
	{Name: "subject", Place: true, Basis: true, Required: true, Label: "Administrator", Help: "The address of the administrator in whose name the directory is read. A role that may read users, groups and organizational units is enough."},
	{Name: "customer", Basis: true, Default: "my_customer", Label: "Customer", Help: "The account's customer ID (C0…), or my_customer for the administrator's own."},
	{Name: "domain", Basis: true, Label: "Domain", Help: "Only people and groups of this domain, in place of all the account's domains."},

	{Name: "people", Default: peopleGroups, Choices: []string{peopleGroups, peopleAll}, Basis: true, Label: "People", Help: "Who is read: those in the groups selected below and in groups in them (nobody, with none selected), or all people of the account."},
	{Name: "org_units", Type: setting.List, Basis: true, Label: "Organizational units", Help: "Only people in these, or below them: paths such as /Staff, or IDs (id:…), which stay when a unit is renamed. Left out, people of all units are read."},

	{Name: "groups.include", Basis: true, Label: "Groups by expression", Help: "A regular expression; groups whose name or address it matches are selected. .* selects all. With none of the settings of groups, no group is read; with people: groups, nobody is."},
	{Name: "groups.exclude", Basis: true, Label: "But not", Help: "A regular expression; groups whose name or address it matches are not selected, whatever selects them."},
	{Name: "groups.names", Type: setting.List, Basis: true, Label: "Groups by name", Help: "Names or addresses of groups to select, as they are written."},
	{Name: "groups.ids", Type: setting.List, Basis: true, Label: "Groups by ID", Help: "IDs of groups to select; they stay when a group is renamed."},

	{Name: "parallel", Type: setting.Int, Default: "4", Advanced: true, Label: "Requests at once", Help: "How many groups' members are asked for at the same time, 1 to 20. Google allows 2,400 requests a minute."},
	{Name: "url", Place: true, Basis: true, Advanced: true, Default: "https://admin.googleapis.com", Label: "API address", Help: "The root of the Directory API."},
	{Name: "token_url", Place: true, Advanced: true, Default: "https://oauth2.googleapis.com/token", Label: "Token address", Help: "Where tokens come from. The token_uri in the key file is not used."},
	{Name: "tls.ca_file", Place: true, Local: true, Advanced: true, Label: "CA file", Help: "Certificates (PEM) to trust beside the system's, for a proxy that opens connections."},
}

// settings are the decoded and checked settings of one connection.
type settings struct {
	key              *key
	subject          string
	customer, domain string
	people           string
	orgUnits         []string
	groups           selection
	parallel         int
	url, tokenURL    string
	caFile           string
}

// selection says which groups are read.
type selection struct {
	include, exclude *regexp.Regexp
	names, ids       []string
}

// none is true where nothing is selected.
func (s selection) none() bool { return s.include == nil && len(s.names) == 0 && len(s.ids) == 0 }

// holds is true of a selected group.
func (s selection) holds(g *group) bool {
	if s.exclude != nil && (s.exclude.MatchString(g.Name) || s.exclude.MatchString(g.Email)) {
		return false
	}
	return s.include != nil && (s.include.MatchString(g.Name) || s.include.MatchString(g.Email)) ||
		slices.ContainsFunc(s.names, g.called) || slices.Contains(s.ids, g.ID)
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "google: "+format, args...)
}

func decode(v setting.Values, env source.Env) (*settings, error) {
	if err := setting.Defaults(options, v); err != nil {
		return nil, err
	}
	s := &settings{
		subject: strings.TrimSpace(v.String("subject")), customer: strings.TrimSpace(v.String("customer")), domain: strings.TrimSpace(v.String("domain")),
		people: v.String("people"), parallel: v.Int("parallel"),
		groups: selection{names: v.List("groups.names"), ids: v.List("groups.ids")},
	}
	if at := strings.IndexByte(s.subject, '@'); at < 1 || at == len(s.subject)-1 {
		return nil, invalid("setting subject: %q is not an address", s.subject).WithHint("A service account has no directory of its own: name an administrator in whose name it reads.")
	}
	if s.customer == "" {
		s.customer = "my_customer"
	}
	if s.parallel < 1 || s.parallel > 20 {
		return nil, invalid("setting parallel: %d is not from 1 to 20", s.parallel)
	}
	for _, unit := range v.List("org_units") {
		unit = strings.TrimSpace(unit)
		if !strings.HasPrefix(unit, "/") && !strings.HasPrefix(unit, "id:") {
			return nil, invalid("setting org_units: %q is neither a path nor an ID", unit).WithHint("Write the path as in /Staff/Berlin, or the ID as in id:03ph8a2z1enx5q0.")
		}
		if len(unit) > 1 {
			unit = strings.TrimRight(unit, "/")
		}
		s.orgUnits = append(s.orgUnits, unit)
	}
	for name, into := range map[string]*string{"url": &s.url, "token_url": &s.tokenURL} {
		u, err := rest.Address(v.String(name), env.Guard)
		if err != nil {
			return nil, invalid("setting %s: %w", name, err)
		}
		*into = u.String()
	}
	if file := v.String("tls.ca_file"); file != "" {
		s.caFile = beside(env, file)
	}
	for name, into := range map[string]**regexp.Regexp{"groups.include": &s.groups.include, "groups.exclude": &s.groups.exclude} {
		text := v.String(name)
		if text == "" {
			continue
		}
		e, err := regexp.Compile(text)
		if err != nil {
			return nil, invalid("setting %s: %w", name, err).WithHint("It is a regular expression, as in ^app-(users|admins)@")
		}
		*into = e
	}
	return s, s.credentials(v, env)
}

func beside(env source.Env, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(env.Dir, file)
}

// credentials takes the key, from the one place it is in.
func (s *settings) credentials(v setting.Values, env source.Env) error {
	text, name := v.String("key"), "key"
	file := v.String("key_file")
	if (text == "") == (file == "") {
		return invalid("just one of the settings key and key_file is needed").WithHint("Make a JSON key of the service account in the Google Cloud console, and set its text or the file's name.")
	}
	if file != "" {
		name = "key_file"
		b, err := os.ReadFile(beside(env, file)) //nolint:gosec // an operator names it
		if err != nil {
			return invalid("setting key_file: %w", err).WithHint("The file is looked for beside the configuration file.")
		}
		text = string(b)
	}
	var err error
	if s.key, err = parseKey(text); err != nil {
		return invalid("setting %s: %w", name, err).WithHint("It must be the whole JSON file that the Google Cloud console gave when the key was made, of a service account.")
	}
	return nil
}

// who is read, in words.
func (s *settings) who() string {
	who := "all people of the account"
	if s.domain != "" {
		who = "all people of the domain " + s.domain
	}
	if s.people == peopleGroups {
		who = "people in the selected groups"
		if s.groups.none() {
			return "nobody: no group is selected"
		}
	}
	if len(s.orgUnits) > 0 {
		who += ", in " + strings.Join(s.orgUnits, ", ")
	}
	return who
}

// The scopes, exactly as an administrator has to allow them (guides/delegation).
const (
	scopeUsers    = "https://www.googleapis.com/auth/admin.directory.user.readonly"
	scopeGroups   = "https://www.googleapis.com/auth/admin.directory.group.readonly"
	scopeMembers  = "https://www.googleapis.com/auth/admin.directory.group.member.readonly"
	scopeOrgUnits = "https://www.googleapis.com/auth/admin.directory.orgunit.readonly"
)

// scopes are those that are asked for: what is not read is not asked for, since one
// scope that was not allowed makes Google refuse all.
func (s *settings) scopes() []string {
	out := []string{scopeUsers}
	if !s.groups.none() {
		out = append(out, scopeGroups, scopeMembers)
	}
	if len(s.orgUnits) > 0 {
		out = append(out, scopeOrgUnits)
	}
	return out
}
