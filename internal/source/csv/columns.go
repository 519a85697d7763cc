package csv

import (
	"slices"
	"strings"
	"unicode"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// columns are the places of the columns that mean something to us, -1 where
// there is none.
type columns struct {
	key, password     int
	username, manager int
	fields            []column // field to column name, in the order found
}

// plain is a column name without case and without what people put between words:
// "First Name", "first_name" and "firstname" are one, "E-Mail" is "email".
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune("_-.", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// place finds a column by its name: as spelled, then without case, then plain.
func place(header []string, name string) int {
	for _, same := range []func(string) bool{
		func(h string) bool { return h == name },
		func(h string) bool { return strings.EqualFold(h, name) },
		func(h string) bool { return plain(h) == plain(name) },
	} {
		if i := slices.IndexFunc(header, func(h string) bool { return h != "" && same(h) }); i >= 0 {
			return i
		}
	}
	return -1
}

// known are the fields a column may be called after.
func known() []string { return append(slices.Clone(account.FieldNames()), "manager", "status") }

// resolve finds the columns in a header.
func (t *table) resolve(header []string) (*columns, error) {
	c := &columns{password: -1, username: -1, manager: -1}
	told := map[string]bool{}
	for _, o := range t.columns {
		i := place(header, o.name)
		if i < 0 {
			return nil, t.missing(header, o.name, "columns: the one for "+o.field)
		}
		told[o.field] = true
		if o.field != "password" {
			c.fields = append(c.fields, column{o.field, header[i]})
		}
	}
	c.key = t.find(header, t.settings.String("key"))
	if c.key < 0 {
		return nil, t.missing(header, t.settings.String("key"), "key")
	}
	c.password = t.find(header, t.settings.String("password_column"))
	if c.password == c.key {
		return nil, fault.New(fault.Invalid, "csv: the key column and the password column of %s are the same", t.where()).
			WithHint("set password_column, or passwords to none")
	}
	manager := t.settings.String("manager")
	for _, field := range known() {
		name := field
		if field == "manager" {
			name = manager
		}
		if i := place(header, name); i >= 0 && i != c.password && !told[field] {
			c.fields = append(c.fields, column{field, header[i]})
			told[field] = true
		}
	}
	if option, _ := setting.Find(options, "manager"); manager != option.Default && !told["manager"] {
		return nil, t.missing(header, manager, "manager")
	}
	if !told["username"] {
		c.fields = append(c.fields, column{"username", header[c.key]})
	}
	for _, f := range c.fields {
		switch f.field {
		case "username":
			c.username = slices.Index(header, f.name)
		case "manager":
			c.manager = slices.Index(header, f.name)
		}
	}
	return c, nil
}

// find gives the column an option names: a field that was given a column, or a
// column itself.
func (t *table) find(header []string, name string) int {
	for _, o := range t.columns {
		if o.field == name {
			return place(header, o.name)
		}
	}
	return place(header, name)
}

// missing is the error for a column that is not there. What was found is named
// only where some of it is a header for sure: a file without one begins with a
// person, and perhaps with a password.
func (t *table) missing(header []string, name, option string) error {
	sure := false
	for _, field := range append(known(), t.settings.String("key"), t.settings.String("password_column"), t.settings.String("manager")) {
		sure = sure || place(header, field) >= 0
	}
	for _, o := range t.columns {
		sure = sure || place(header, o.name) >= 0
	}
	f := fault.New(fault.Invalid, "csv: read the header of %s: no column %q (%s)", t.where(), name, option)
	if !sure {
		return f.WithHint("none of the %d columns has a name that is known here; the first row must hold the names, and the settings key and columns say which is which", len(header))
	}
	named := slices.DeleteFunc(slices.Clone(header), func(h string) bool { return h == "" })
	if near := setting.Nearest(name, named); near != "" {
		return f.WithHint("did you mean %q? Columns found: %s", near, strings.Join(named, ", "))
	}
	return f.WithHint("columns found: %s", strings.Join(named, ", "))
}

// named are the columns that rules of the mapping may read.
func (c *columns) named(header []string) []string {
	out := []string{}
	for i, name := range header {
		if name != "" && i != c.password {
			out = append(out, name)
		}
	}
	return out
}

// mapping is the starting mapping for the columns that were found.
func (c *columns) mapping() map[string]setting.Rule {
	rules := map[string]setting.Rule{}
	for _, f := range c.fields {
		rules[f.field] = setting.Rule{Attribute: f.name}
	}
	return rules
}
