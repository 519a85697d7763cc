// Package mapping turns a record, as a directory gave it, into a user: the
// fields of an account, each made by a rule and brought into its valid form. It
// hands users on to scope and match, with the problems of an entry that cannot
// be used and warnings about values that were left out.
//
// A rule is an attribute's name (its first value is taken), a constant, an
// expression of package formula, or none, which leaves the field to the
// application. Names compare without case.
package mapping

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/mapping/clean"
	"rollcall.dev/rollcall/internal/engine/mapping/formula"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// The targets that are no text fields.
const (
	manager = "manager"
	status  = "status"
)

// Options for Compile.
type Options struct {
	Region string // the country of phone numbers written without one: "BE"; may be ""
	Role   string // the role of a user whose rules give none
	// Identifying are text fields and custom attributes that Identity gives besides
	// the mandatory ones.
	Identifying []string
}

// User is a record as the connection's rules see it.
type User struct {
	Text       account.Text
	Attributes string // custom attributes: a canonical JSON object, or ""
	Manager    string // a ref as the source spells it, "" where there is none
	Disabled   bool
	StatusWhy  string    // "userAccountControl says disabled"; "" while not disabled
	Unclear    bool      // the status could not be made out: it neither disables nor enables
	ReviewAt   time.Time // when the status changes by itself, zero if never
	// Problems make this entry unusable. Each is a sentence with the field and
	// the attribute that was to fill it.
	Problems []string
	// Warnings name values that were left out because they could not be made
	// valid.
	Warnings []string
}

// Mapping is a compiled set of rules, safe for concurrent use.
type Mapping struct {
	options     Options
	fields      []rule // text fields, the mandatory ones first
	custom      []rule // custom attributes by name
	manager     *rule
	status      *rule
	managed     [len(account.Text{})]bool
	names       []string // slot to attribute name, as first spelled
	identity    int      // slots the mandatory and identifying rules use: the first ones
	identifying int      // how many of fields are mandatory or identifying: the first ones
	known       []rule   // the custom ones that identify, by name
	attributes  []string
	targets     []string // all there is a rule for
	fingerprint string
	states      sync.Pool // *state
}

// rule is one compiled rule. Exactly one of slot, value and program decides.
type rule struct {
	name    string        // the target's name
	field   account.Field // for text fields
	slot    int           // the attribute's slot, or -1
	value   string
	program *formula.Program
	source  string // what the rule takes, for messages: `attribute mail`
	quoted  string // the name as a JSON key with its colon, for custom attributes
}

// Compile makes a mapping of rules: the connection's over the source's starting
// rules, by field or custom attribute name. The error is a fault.Invalid that
// names the field, and for an expression the line and column.
func Compile(rules map[string]setting.Rule, o Options) (*Mapping, error) {
	for _, f := range account.Mandatory {
		if r, ok := rules[f.String()]; !ok || r.None {
			return nil, fault.New(fault.Invalid, "mapping: %s: no rule, and no account can do without it", f).
				WithHint("map %s to an attribute, a value or an expression", f)
		}
	}
	return compileSome(rules, o)
}

// compileSome makes a mapping of rules that need not fill what is mandatory.
func compileSome(rules map[string]setting.Rule, o Options) (*Mapping, error) {
	if o.Region = strings.ToUpper(strings.TrimSpace(o.Region)); o.Region != "" && !clean.KnownRegion(o.Region) {
		return nil, fault.New(fault.Invalid, "mapping: region %q: no country with phone numbers has this code", o.Region).
			WithHint("give the two letters of ISO 3166, such as BE")
	}
	m := &Mapping{options: o}
	for _, name := range targets(rules, o.Identifying) {
		if rules[name].None {
			continue
		}
		if err := checkName(name); err != nil {
			return nil, err
		}
		r, err := m.compile(name, rules[name])
		if err != nil {
			return nil, err
		}
		m.targets = append(m.targets, name)
		f, text := account.FieldNamed(name)
		switch {
		case text:
			r.field = f
			m.fields = append(m.fields, r)
			m.managed[f] = true
		case name == manager:
			m.manager = &r
		case name == status:
			m.status = &r
		default:
			r.quoted = string(appendJSON(nil, name)) + ":"
			m.custom = append(m.custom, r)
			if slices.Contains(o.Identifying, name) {
				m.known = append(m.known, r)
			}
		}
		if text && slices.Contains(account.Mandatory, f) || slices.Contains(o.Identifying, name) {
			m.identity, m.identifying = len(m.names), len(m.fields)
		}
	}
	slices.SortFunc(m.custom, func(a, b rule) int { return strings.Compare(a.name, b.name) })
	for _, name := range m.names {
		if !strings.EqualFold(name, "dn") {
			m.attributes = append(m.attributes, name)
		}
	}
	slices.Sort(m.attributes)
	m.fingerprint = fingerprint(rules, o)
	m.states.New = func() any { return m.newState() }
	return m, nil
}

// targets orders rule names: mandatory fields, identifying ones, other text
// fields, the rest.
func targets(rules map[string]setting.Rule, identifying []string) []string {
	names := make([]string, 0, len(rules))
	for name := range rules {
		names = append(names, name)
	}
	rank := func(name string) int {
		f, ok := account.FieldNamed(name)
		if i := slices.Index(account.Mandatory, f); ok && i >= 0 {
			return i
		}
		switch {
		case slices.Contains(identifying, name):
			return 50
		case !ok:
			return 1000
		}
		return 100 + int(f)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) })
	return names
}

// checkName refuses a custom attribute that is a field in another spelling.
func checkName(name string) error {
	known := append(slices.Clone(account.FieldNames()), manager, status)
	if slices.Contains(known, name) {
		return nil
	}
	plain := strings.NewReplacer("_", "", "-", "", " ", "", ".", "")
	for _, k := range known {
		if strings.EqualFold(plain.Replace(name), plain.Replace(k)) {
			return fault.New(fault.Invalid, "mapping: %s: unknown field", name).WithHint("did you mean %s?", k)
		}
	}
	if kept, why := clean.Text(name); kept != name || name == "" || why != "" || len(name) > 64 {
		return fault.New(fault.Invalid, "mapping: %q: not a name for a custom attribute", name).
			WithHint("a name has 1 to 64 characters and no spaces around it")
	}
	return nil
}

func (m *Mapping) compile(name string, from setting.Rule) (rule, error) {
	r := rule{name: name, slot: -1}
	given := 0
	for _, s := range []string{from.Attribute, from.Value, from.Expr} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		return r, fault.New(fault.Invalid, "mapping: %s: more than one of attribute, value and expr", name).
			WithHint("a rule takes its value from one place; firstOf(mail, uid) in an expression tries several")
	}
	switch {
	case from.Attribute != "":
		r.slot = m.slot(from.Attribute)
		r.source = "attribute " + from.Attribute
	case from.Expr != "":
		program, err := formula.Compile(from.Expr, formula.Options{
			Slot: func(name string) (int, bool) { return m.slot(name), true },
		})
		if err != nil {
			return r, ExpressionFault("mapping: "+name, err)
		}
		r.program = program
		r.source = "expression over " + cmp.Or(strings.Join(program.Names(), ", "), "no attribute")
	default:
		r.value = from.Value
		r.source = "constant"
	}
	return r, nil
}

// ExpressionFault makes the fault for an expression that does not compile.
func ExpressionFault(doing string, err error) error {
	var at *formula.Error
	if !errors.As(err, &at) {
		return fault.New(fault.Invalid, "%s: %w", doing, err)
	}
	f := fault.New(fault.Invalid, "%s: %w", doing, err)
	if at.Excerpt != "" {
		return f.WithHint("%s", at.Excerpt)
	}
	return f
}

// slot gives an attribute its place, the same for every spelling.
func (m *Mapping) slot(name string) int {
	i := slices.IndexFunc(m.names, func(n string) bool { return strings.EqualFold(n, name) })
	if i < 0 {
		i = len(m.names)
		m.names = append(m.names, name)
	}
	return i
}

// Attributes lists the source attributes the rules use, sorted, as spelled.
func (m *Mapping) Attributes() []string { return slices.Clone(m.attributes) }

// Targets lists what there is a rule for: fields, manager, status and custom
// attributes.
func (m *Mapping) Targets() []string { return slices.Clone(m.targets) }

// Custom lists the names of the custom attributes, sorted.
func (m *Mapping) Custom() []string {
	out := make([]string, len(m.custom))
	for i := range m.custom {
		out[i] = m.custom[i].name
	}
	return out
}

// Manages reports whether there is a rule for a text field. Without one the
// field is the application's and is left alone.
func (m *Mapping) Manages(f account.Field) bool { return m.managed[f] }

// ManagesManager reports whether there is a rule for the manager.
func (m *Mapping) ManagesManager() bool { return m.manager != nil }

// ManagesAttributes reports whether there are rules for custom attributes.
func (m *Mapping) ManagesAttributes() bool { return len(m.custom) > 0 }

// ManagesStatus reports whether there is a rule for the status.
func (m *Mapping) ManagesStatus() bool { return m.status != nil }

// Fingerprint is a text of all rules and options. It changes exactly when one of
// them does.
func (m *Mapping) Fingerprint() string { return m.fingerprint }

func fingerprint(rules map[string]setting.Rule, o Options) string {
	var b strings.Builder
	b.WriteString("mapping 1 region " + strconv.Quote(o.Region) + " role " + strconv.Quote(o.Role) + "\n")
	for _, name := range targets(rules, nil) {
		r := rules[name]
		b.WriteString(strconv.Quote(name))
		switch {
		case r.None:
			b.WriteString(" none\n")
		case r.Attribute != "":
			b.WriteString(" attribute " + strconv.Quote(r.Attribute) + "\n")
		case r.Expr != "":
			b.WriteString(" expr " + strconv.Quote(r.Expr) + "\n")
		default:
			b.WriteString(" value " + strconv.Quote(r.Value) + "\n")
		}
	}
	return b.String()
}
