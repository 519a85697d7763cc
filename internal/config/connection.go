package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

const defaultOrganization = "default"

var (
	aliasForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	idForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	customForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	regionForm = regexp.MustCompile(`^[A-Za-z]{2}$`)
)

// reserved are words that stand in addresses where an alias could.
var reserved = []string{"assets", "callback", "check", "done", "password", "provider", "signout"}

func checkAlias(s string) error {
	if !aliasForm.MatchString(s) || len(s) > 64 {
		return errors.New("expected small letters, digits and dashes, 64 at most")
	}
	if s == account.Local {
		return fmt.Errorf("%q is the name for accounts that no connection keeps", s)
	}
	if slices.Contains(reserved, s) {
		return fmt.Errorf("%q is a word of our own addresses, such as /login/done; choose another", s)
	}
	return nil
}

func checkID(s string) error {
	if !idForm.MatchString(s) || len(s) > 64 {
		return errors.New("expected letters, digits, dots, dashes and underscores, 64 at most")
	}
	return nil
}

// checkName refuses what no field of an account or name on a page may hold: some
// databases do not take it, and no terminal shows it.
func checkName(s string) error {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("expected text without control characters")
	}
	if utf8.RuneCountInString(s) > maxName {
		return fmt.Errorf("expected %d characters at most", maxName)
	}
	return nil
}

// maxName is also the longest text of an account's field.
const maxName = 256

func (d *decoder) organizations(path string, n *node, c *Config) {
	if n.shape != list {
		d.add(n, "%s: expected a list, found %s", path, n.shape)
		return
	}
	seen := map[string]int{}
	for _, item := range n.items {
		var o setting.Organization
		env := "ROLLCALL_ORGANIZATIONS_" + variableName(item.get("id").value())
		d.environment.item(env)
		d.block(path, env, item, organizationKeys(&o))
		if o.Name == "" {
			o.Name = o.ID
		}
		if d.unique(path, "id", o.ID, item, seen) {
			c.Organizations = append(c.Organizations, o)
		}
	}
}

// unique checks the name of a list's item: present, and met for the first time.
func (d *decoder) unique(path, name, value string, item *node, seen map[string]int) bool {
	switch line, twice := seen[value]; {
	case value == "":
		if at := item.get(name); at == nil || at.shape == null {
			d.add(item, "%s: %q is missing", path, name)
		}
		return false
	case twice:
		d.add(item.get(name), "%s %q stands twice, first on line %d", name, value, line)
		return false
	}
	seen[value] = item.line
	return true
}

func (n *node) value() string {
	if n == nil {
		return ""
	}
	return n.text
}

func (d *decoder) connections(path string, n *node, c *Config) {
	if n.shape != list {
		d.add(n, "%s: expected a list, found %s", path, n.shape)
		return
	}
	seen := map[string]int{}
	for _, item := range n.items {
		if item.shape != mapping {
			d.add(item, "%s: expected a block of keys, found %s", path, item.shape)
			continue
		}
		env := "ROLLCALL_CONNECTIONS_" + variableName(item.get("alias").value())
		d.environment.item(env)
		conn := d.connection(item, env)
		d.organization(&conn, item, c)
		if d.unique(path, "alias", conn.Alias, item, seen) {
			c.Connections = append(c.Connections, conn)
		}
	}
}

// connection decodes one; env is the beginning of the names of its variables.
func (d *decoder) connection(item *node, env string) setting.Connection {
	conn := newConnection()
	d.block("", env, item, d.connectionKeys(&conn, env))
	if conn.Kind == "" && item.get("backend") == nil {
		d.add(item, "connection %q has no backend; one of %s", conn.Alias, strings.Join(d.kindNames(), ", "))
	}
	for i, name := range conn.Match {
		if err := checkMatch(name, conn.Mapping); err != nil {
			d.add(item.get("match").item(i), "match: %s", err)
		}
	}
	return conn
}

func (n *node) item(i int) *node {
	if n != nil && i < len(n.items) {
		return n.items[i]
	}
	return n
}

func newConnection() setting.Connection {
	return setting.Connection{
		Policy: setting.DefaultPolicy(), Limits: setting.DefaultLimits(), SignIn: setting.DefaultConnectionSignIn(),
		Overlap: setting.OverlapWait, Mapping: map[string]setting.Rule{},
	}
}

// organization finds whose directory it is. Who has one organization or none
// need not name it.
func (d *decoder) organization(conn *setting.Connection, item *node, c *Config) {
	known := make([]string, len(c.Organizations))
	for i, o := range c.Organizations {
		known[i] = o.ID
	}
	at := item.get("organization")
	switch {
	case d.apart && conn.Organization != "":
	case conn.Organization == "" && len(known) == 0:
		conn.Organization = defaultOrganization
	case conn.Organization == "" && len(known) == 1:
		conn.Organization = known[0]
	case conn.Organization == "":
		d.add(item, "connection %q names no organization; one of %s", conn.Alias, strings.Join(known, ", "))
	case slices.Contains(known, conn.Organization):
	case len(known) == 0:
		d.add(at, "organization %q is not declared under organizations", conn.Organization)
	default:
		near := ""
		if n := setting.Nearest(conn.Organization, known); n != "" {
			near = fmt.Sprintf("; did you mean %q?", n)
		}
		d.add(at, "organization %q is not declared under organizations%s", conn.Organization, near)
	}
}

// connectionKeys declares a connection. The order of organizations and
// connections in the file is of no matter: topKeys decodes the former first.
func (d *decoder) connectionKeys(c *setting.Connection, env string) []key {
	expressions := schema{"anyOf": []schema{{"type": "string"}, {"type": "array", "items": schema{"type": "string"}}}}
	return []key{
		text("alias", &c.Alias, "Short name, unique in the installation; commands and addresses use it.", checkAlias),
		text("organization", &c.Organization, "Whose directory it is. May be left out when there is only one.", checkID),
		text("schedule", &c.Schedule, "When it runs by itself: a cron expression such as `0 2 * * *`, or `every 40m`. On demand only unless set.", checkSchedule),
		text("time_zone", &c.TimeZone, "Whose clock a cron expression goes by, such as `Europe/Brussels`. UTC unless set. An hour that is skipped in spring runs when it is over; one that comes twice in autumn runs once.", checkZone),
		jitter("jitter", &c.Jitter, "Over how long connections with the same schedule are spread, each by its alias always to the same place. Unless set it is `5m` for a cron expression and the whole interval for `every`."),
		text("role", &c.Role, "Role of the accounts it creates.", checkName),
		text("region", &c.Region, "Country (two letters) that telephone numbers without a country code belong to.", func(s string) error {
			if !regionForm.MatchString(s) {
				return errors.New("expected a country's two letters, such as BE")
			}
			return nil
		}).upper(&c.Region),
		day("credential_expires", &c.CredentialExpires, "Last day of what the connection signs in with, where the directory does not tell: people are told 60, 30, 7 days and a day before."),
		{name: "settings", help: "The policy: which actions are allowed.", keys: policyKeys(&c.Policy)},
		{name: "sign_in", help: "How the people of this connection sign in.", keys: connectionSignInKeys(d, &c.SignIn)},
		{name: "limits", help: "The safeguards: a plan over one of them is held until a person has seen it.", keys: limitKeys(&c.Limits)},
		{
			name: "backend", typ: "one kind of source", help: "The directory: exactly one kind, with its own settings.",
			larger: d.backendSchema,
			deeper: true,
			node:   func(path string, n *node) { d.backend(path, env+"_BACKEND", n, c) },
		},
		{
			name: "mapping", typ: "field to rule", help: "Where the fields come from: an attribute's name, `{value: }`, `{expr: }`, or `null` to leave the field to the application.",
			larger: mappingSchema,
			node:   func(path string, n *node) { d.mapping(path, n, c) },
		},
		{
			name: "scope", typ: "expressions", help: "Who is in: expressions over mapped fields; all of them must hold.",
			schema: expressions,
			node:   func(path string, n *node) { c.Scope = d.texts(path, n) },
		},
		{
			name: "match", typ: "names", help: "How an entry without an account finds one it may take over: `username`, `email`, `mobile_phone`, `phone` and custom attributes, in their order.",
			larger: matchSchema,
			node:   func(path string, n *node) { c.Match = d.texts(path, n) },
		},
		choice("overlap", &c.Overlap, "What happens to an entry that another connection of the organization claims too.",
			setting.OverlapWait, setting.OverlapOwn, setting.OverlapYield),
	}
}

// upper stores the value in capitals.
func (k key) upper(to *string) key {
	set := k.set
	k.set = func(s string) error {
		err := set(s)
		*to = strings.ToUpper(*to)
		return err
	}
	return k
}

// texts reads a list of single values; one value stands for a list of one.
func (d *decoder) texts(path string, n *node) []string {
	items := n.items
	switch n.shape {
	case scalar:
		items = []*node{n}
	case mapping:
		d.add(n, "%s: expected a list, found %s", path, n.shape)
		return nil
	case list, null:
	}
	var out []string
	for _, item := range items {
		if item.shape == null {
			d.add(item, "%s: an empty item", path)
		}
		d.scalar(path, item, func(s string) error {
			out = append(out, s)
			return nil
		})
	}
	return out
}

func (d *decoder) kindNames() []string {
	names := make([]string, len(d.kinds))
	for i, k := range d.kinds {
		names[i] = k.Name
	}
	return names
}

// backend decodes "backend: {ldap: {...}}" by the kind's declared options.
func (d *decoder) backend(path, env string, n *node, c *setting.Connection) {
	if n.shape != mapping || len(n.entries) == 0 {
		d.add(n, "%s: expected one kind of source: %s", path, strings.Join(d.kindNames(), ", "))
		return
	}
	if len(n.entries) > 1 {
		d.add(n.entries[1].key, "%s: a connection has one kind of source; %s and %s are two connections",
			path, n.entries[0].key.text, n.entries[1].key.text)
		return
	}
	e := n.entries[0]
	i := slices.IndexFunc(d.kinds, func(k source.Kind) bool { return k.Name == e.key.text })
	if i < 0 {
		d.unknown(path, e.key, d.kindNames())
		return
	}
	kind := d.kinds[i]
	path = join(path, kind.Name)
	c.Kind, c.Backend = kind.Name, setting.Values{}
	if e.value.shape != mapping && e.value.shape != null {
		d.add(e.value, "%s: expected a block of keys, found %s", path, e.value.shape)
		return
	}
	bad := map[string]bool{}
	d.absent = &absent{}
	defer func() { d.absent = nil }()
	d.options(path, "", e.value, kind.Options, c.Backend, bad)
	for _, o := range kind.Options {
		d.absent.option, d.absent.raw = o, nil
		if v := d.variable(env+"_"+variableName(kind.Name)+"_"+variableName(o.Name), o.Secret); v != nil {
			d.absent.found(o.Name) // the environment wins, so what the file names is not needed
			d.scalar(join(path, o.Name), v, func(s string) error { return put(c.Backend, o, s, true) })
		} else if d.absent.lacks(o.Name) {
			bad[o.Name] = true
		}
		if _, ok := c.Backend[o.Name]; o.Required && !ok && !bad[o.Name] {
			d.add(e.key, "%s: %q is missing: %s", path, o.Name, missing(o))
		}
	}
	if err := setting.Defaults(kind.Options, c.Backend); err != nil {
		d.add(e.key, "%s: %s", path, err)
	}
	c.Unset = d.absent.list
}

func missing(o setting.Option) string {
	if o.Help != "" {
		return o.Help
	}
	return o.Label
}

// put decodes one value. A single text for a list is a list of one, whatever
// commas it has: DNs have them. Only the environment's one line is split.
func put(values setting.Values, o setting.Option, text string, split bool) error {
	if o.Type == setting.List && !split {
		values[o.Name] = []string{text}
		return nil
	}
	v, err := o.Parse(text)
	if err != nil {
		return err
	}
	values[o.Name] = v
	return nil
}

// options walks a backend's block. under is the dotted name of the block so
// far; bad collects the options that were there and wrong.
func (d *decoder) options(path, under string, n *node, options []setting.Option, values setting.Values, bad map[string]bool) {
	for _, e := range n.entries {
		name := join(under, e.key.text)
		full := join(path, e.key.text)
		o, known := setting.Find(options, name)
		isBlock := slices.ContainsFunc(options, func(o setting.Option) bool { return strings.HasPrefix(o.Name, name+".") })
		switch {
		case strings.Contains(e.key.text, ".") || !known && !isBlock:
			d.unknown(path, e.key, below(options, under))
		case e.value.shape == null:
		case isBlock && (!known || e.value.shape == mapping):
			if e.value.shape != mapping {
				d.add(e.value, "%s: expected a block of keys, found %s", full, e.value.shape)
				continue
			}
			d.options(full, name, e.value, options, values, bad)
		case o.Type == setting.List:
			d.absent.reads(o, e.value)
			if items, ok := d.listOption(full, o, e.value); ok {
				values[name] = items
			} else {
				bad[name] = true
			}
		default:
			bad[name] = true
			d.absent.reads(o, e.value)
			d.scalar(full, e.value, func(s string) error {
				err := put(values, o, s, false)
				bad[name] = err != nil
				return err
			})
		}
	}
}

// below lists the names that may stand in a block; those deeper down with the
// path they would need.
func below(options []setting.Option, under string) []string {
	var names []string
	for _, o := range options {
		name := o.Name
		if under != "" {
			var ok bool
			if name, ok = strings.CutPrefix(name, under+"."); !ok {
				continue
			}
		}
		if block, _, deeper := strings.Cut(name, "."); deeper && !slices.Contains(names, block) {
			names = append(names, block)
		}
		names = append(names, name)
	}
	return names
}

// listOption reads a list, a single value, or a block of keys, which becomes
// "key=value" in the order of the file.
func (d *decoder) listOption(path string, o setting.Option, n *node) ([]string, bool) {
	before, lacking := len(d.problems), len(d.absent.list)
	out := []string{}
	if n.shape == mapping {
		for _, e := range n.entries {
			d.scalar(join(path, e.key.text), e.value, func(s string) error {
				out = append(out, e.key.text+"="+s)
				return nil
			})
		}
	} else {
		out = append(out, d.texts(path, n)...)
	}
	for i, s := range out {
		if len(o.Choices) > 0 && !slices.Contains(o.Choices, s) {
			d.add(n.item(i), "%s: expected any of %s", path, strings.Join(o.Choices, ", "))
		}
	}
	return out, len(d.problems) == before && len(d.absent.list) == lacking
}

// fieldNames are the fields a rule may fill, custom attributes aside.
func fieldNames() []string {
	return append(slices.Clone(account.FieldNames()), "manager", "status")
}

// ownFields are set by Rollcall and by nobody else.
var ownFields = []string{"id", "organization", "connection", "external_id", "attributes", "groups", "created_at", "updated_at"}

// checkField refuses a name that is a slip of the pen: a custom attribute one
// letter away from a field would quietly leave the field empty.
func checkField(name string) error {
	fields := fieldNames()
	switch {
	case slices.Contains(fields, name):
		return nil
	case slices.Contains(ownFields, name):
		return fmt.Errorf("%q is kept by Rollcall itself and cannot be mapped", name)
	case !customForm.MatchString(name):
		return fmt.Errorf("%q: expected a name of letters, digits, dashes and underscores", name)
	}
	for _, f := range fields {
		if oneOff(name, f) {
			return fmt.Errorf("unknown field %q; did you mean %q? A custom attribute needs a name that is further from it", name, f)
		}
	}
	return nil
}

// CheckAttribute refuses what is no name for a custom attribute.
func CheckAttribute(name string) error {
	if slices.Contains(fieldNames(), name) {
		return fmt.Errorf("%q is a field of its own and no custom attribute", name)
	}
	return checkField(name)
}

// oneOff reports whether two words differ by one letter more, less, other or
// swapped, or only in case and dashes.
func oneOff(a, b string) bool {
	a = strings.ToLower(strings.ReplaceAll(a, "-", "_"))
	if strings.ReplaceAll(a, "_", "") == strings.ReplaceAll(b, "_", "") {
		return true
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	x, y := a[i:], b[i:]
	if len(x) > len(y) {
		x, y = y, x
	}
	switch {
	case len(y) == 0:
		return true
	case len(x) == len(y):
		return x[1:] == y[1:] || len(x) > 1 && x[0] == y[1] && x[1] == y[0] && x[2:] == y[2:]
	}
	return x == y[1:]
}

// matchable are the fields by which an entry may find an account. The others
// tell nobody apart.
var matchable = []string{"username", "email", "mobile_phone", "phone"}

// checkMatch refuses a name by which nobody can be found. Whether a custom
// attribute has a rule is known when the source has told of its starting rules.
func checkMatch(name string, rules map[string]setting.Rule) error {
	switch r, ok := rules[name]; {
	case ok && r.None:
		return fmt.Errorf("%q is left to the application by the mapping, so nobody can be found by it", name)
	case slices.Contains(matchable, name):
		return nil
	case slices.Contains(fieldNames(), name):
		return fmt.Errorf("%q tells nobody apart; accounts are found by %s or a custom attribute", name, strings.Join(matchable, ", "))
	case slices.Contains(ownFields, name):
		return fmt.Errorf("%q is kept by Rollcall itself; an entry is known by its external ID in any case", name)
	}
	return checkField(name)
}

func matchSchema() schema {
	one := schema{"anyOf": []schema{{"enum": matchable}, {"type": "string", "pattern": customForm.String()}}}
	return schema{"anyOf": []schema{one, {"type": "array", "items": one}}}
}
