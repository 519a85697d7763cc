package entra

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// Who is synchronized.
const (
	peopleGroups = "groups"
	peopleAll    = "all"
)

var options = append([]setting.Option{
	{Name: "tenant", Place: true, Basis: true, Required: true, Label: "Tenant", Help: "The tenant's ID (Directory ID), or one of its domains."},
	{Name: "client_id", Place: true, Required: true, Label: "Application ID", Help: "Application (client) ID of the app registration that Rollcall reads with."},
	{Name: "client_secret", Secret: true, Label: "Client secret", Help: "The value of a client secret of the registration, not its ID. Either this or a certificate."},
	{Name: "certificate", Secret: true, Lines: true, Advanced: true, Label: "Certificate and key", Help: "In place of a secret: a certificate that the registration has, and its key, both as PEM text."},
	{Name: "certificate_file", Place: true, Local: true, Advanced: true, Label: "Certificate file", Help: "A PEM file with both."},
	{Name: "cloud", Place: true, Basis: true, Default: "global", Choices: []string{"global", "us-gov", "us-dod", "china"}, Label: "Cloud", Help: "Where the tenant lives: us-gov is GCC High, us-dod the US Department of Defense, china the one of 21Vianet. GCC without High is global."},
	{Name: "login_url", Place: true, Advanced: true, Label: "Sign-in address", Help: "Where tokens come from, in place of the cloud's."},
	{Name: "graph_url", Place: true, Basis: true, Advanced: true, Label: "Graph address", Help: "The root of Microsoft Graph, in place of the cloud's."},
	{Name: "tls.ca_file", Place: true, Local: true, Advanced: true, Label: "CA file", Help: "Certificates (PEM) to trust beside the system's, for a proxy that opens connections."},

	{Name: "people", Default: peopleGroups, Choices: []string{peopleGroups, peopleAll}, Basis: true, Label: "People", Help: "Who is synchronized: those in the groups selected below and in groups in them (nobody, with none selected), or all people of the tenant."},
	{Name: "guests", Basis: true, Default: "exclude", Choices: []string{"exclude", "include"}, Label: "Guests", Help: "Whether guests (userType Guest) are read."},
	{Name: "manager", Type: setting.Bool, Default: "true", Label: "Managers", Help: "Whether people's managers are read."},
	{Name: "groups.include", Basis: true, Label: "Groups by name", Help: "A regular expression; groups whose name it matches are selected. .* selects all. With none of the settings of groups, no group is read; with people: groups, nobody is."},
	{Name: "groups.exclude", Basis: true, Label: "But not", Help: "A regular expression; groups whose name it matches are not selected, whatever selects them."},
	{Name: "groups.names", Type: setting.List, Basis: true, Label: "Groups by full name", Help: "Names of groups to select, as they are written."},
	{Name: "groups.ids", Type: setting.List, Basis: true, Label: "Groups by ID", Help: "Object IDs of groups to select; they stay selected when they are renamed."},

	{Name: "sync.page_size", Type: setting.Int, Default: "999", Advanced: true, Label: "Page size", Help: "Entries asked for at a time in lists, up to 999. Of changes Microsoft decides itself."},
	{Name: "sync.sweep_every", Type: setting.Duration, Default: "24h", Advanced: true, Label: "Sweep", Help: "How often a reading of changes also asks for the IDs of all, so that nobody who left is missed."},
	{Name: "sync.full_every", Type: setting.Duration, Default: "168h", Advanced: true, Label: "Full reading", Help: "How often everything is read again, whatever changed."},
}, source.ProviderOptions()...)

// clouds are the presets (graph/deployments): login host and Graph root.
var clouds = map[string][2]string{
	"global": {"https://login.microsoftonline.com", "https://graph.microsoft.com"},
	"us-gov": {"https://login.microsoftonline.us", "https://graph.microsoft.us"},
	"us-dod": {"https://login.microsoftonline.us", "https://dod-graph.microsoft.us"},
	"china":  {"https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"},
}

// settings are the decoded and checked settings of one connection.
type settings struct {
	tenant, clientID, secret string
	cert                     *certificate // nil: the secret is used
	loginURL, graphURL       string
	caFile                   string
	guests, manager          bool
	groups                   selection
	membersOnly              bool
	pageSize                 int
	sweepEvery, fullEvery    time.Duration
}

// selection says which groups are read.
type selection struct {
	include, exclude *regexp.Regexp
	names, ids       []string
}

// none is true where nothing is selected.
func (s selection) none() bool { return s.include == nil && len(s.names) == 0 && len(s.ids) == 0 }

// holds is true of a selected group.
func (s selection) holds(id, name string) bool {
	if s.exclude != nil && s.exclude.MatchString(name) {
		return false
	}
	return s.include != nil && s.include.MatchString(name) || s.named(id, name)
}

// named is true of a group whose name or ID is set.
func (s selection) named(id, name string) bool {
	return slices.Contains(s.names, name) || slices.ContainsFunc(s.ids, func(i string) bool { return strings.EqualFold(i, id) })
}

// absent says of each group that is set by name or ID, and is not among those found
// (names by IDs), that it is not there.
func (s selection) absent(found map[string]string) []string {
	var out []string
	for _, name := range s.names {
		if !slices.Contains(slices.Collect(maps.Values(found)), name) {
			out = append(out, fmt.Sprintf("There is no group called %q: it was renamed or deleted, or is left out by groups.exclude. Whoever left is not taken for gone until groups.names is corrected.", name))
		}
	}
	for _, id := range s.ids {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(found)), func(i string) bool { return strings.EqualFold(i, id) }) {
			out = append(out, fmt.Sprintf("There is no group with the ID %q: it was deleted, or is left out by groups.exclude. Whoever left is not taken for gone until groups.ids is corrected.", id))
		}
	}
	return out
}

const nobody = "people is groups, and no group is selected: nobody is read"

const nobodyHint = "Select groups (groups.include, groups.names, groups.ids), or set people to all."

var tenantPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)

func decode(v setting.Values, env source.Env) (*settings, error) {
	if err := setting.Defaults(options, v); err != nil {
		return nil, err
	}
	if _, err := source.ProviderOf(v); err != nil {
		return nil, err
	}
	s := &settings{
		tenant: strings.TrimSpace(v.String("tenant")), clientID: strings.TrimSpace(v.String("client_id")), secret: v.String("client_secret"),
		guests: v.String("guests") == "include", manager: v.Bool("manager"), membersOnly: v.String("people") != peopleAll,
		pageSize: v.Int("sync.page_size"), sweepEvery: v.Duration("sync.sweep_every"), fullEvery: v.Duration("sync.full_every"),
		groups: selection{names: v.List("groups.names"), ids: v.List("groups.ids")},
	}
	switch {
	case s.tenant == "" || s.clientID == "":
		return nil, fault.New(fault.Invalid, "entra: settings tenant and client_id: both are needed").WithHint("They stand on the overview of the app registration.")
	case !tenantPattern.MatchString(s.tenant):
		return nil, fault.New(fault.Invalid, "entra: setting tenant: %q is neither an ID nor a domain", s.tenant)
	case slices.Contains([]string{"common", "organizations", "consumers"}, strings.ToLower(s.tenant)):
		return nil, fault.New(fault.Invalid, "entra: setting tenant: %q stands for no single tenant", s.tenant).WithHint("Take the Directory (tenant) ID from the overview of the app registration.")
	case s.pageSize < 1 || s.pageSize > 999:
		return nil, fault.New(fault.Invalid, "entra: setting sync.page_size: %d is not from 1 to 999", s.pageSize)
	case s.sweepEvery <= 0 || s.fullEvery <= 0:
		return nil, fault.New(fault.Invalid, "entra: settings sync.sweep_every and sync.full_every must be longer than nothing")
	}
	preset := clouds[v.String("cloud")]
	for i, name := range []string{"login_url", "graph_url"} {
		address := v.String(name)
		if address == "" {
			address = preset[i]
		}
		u, err := rest.Address(address, env.Guard)
		if err != nil {
			return nil, fault.New(fault.Invalid, "entra: setting %s: %w", name, err)
		}
		*[]*string{&s.loginURL, &s.graphURL}[i] = u.String()
	}
	if file := v.String("tls.ca_file"); file != "" {
		s.caFile = beside(env, file)
	}
	var err error
	if s.groups.include, err = expression(v, "groups.include"); err != nil {
		return nil, err
	}
	if s.groups.exclude, err = expression(v, "groups.exclude"); err != nil {
		return nil, err
	}
	return s, s.credentials(v, env)
}

func beside(env source.Env, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(env.Dir, file)
}

func expression(v setting.Values, name string) (*regexp.Regexp, error) {
	text := v.String(name)
	if text == "" {
		return nil, nil
	}
	e, err := regexp.Compile(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, "entra: setting %s: %w", name, err).WithHint("It is a regular expression, as in ^App-(Users|Admins)$")
	}
	return e, nil
}

// credentials takes the one way of signing in that is set.
func (s *settings) credentials(v setting.Values, env source.Env) error {
	text, file := v.String("certificate"), v.String("certificate_file")
	set := 0
	for _, x := range []string{s.secret, text, file} {
		if x != "" {
			set++
		}
	}
	if set != 1 {
		return fault.New(fault.Invalid, "entra: of client_secret, certificate and certificate_file %d are set", set).WithHint("Set just one of them.")
	}
	if file != "" {
		b, err := os.ReadFile(beside(env, file))
		if err != nil {
			return fault.New(fault.Invalid, "entra: setting certificate_file: %w", err).WithHint("The file is looked for beside the configuration file.")
		}
		text = string(b)
	}
	if text == "" {
		return nil
	}
	var err error
	s.cert, err = parseCertificate(text)
	return err
}
