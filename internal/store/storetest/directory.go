// Package storetest holds the suite that engine and store have to pass on every
// database, and what it is made of: a directory that is a script, a world
// around it, and words for what came out. It hands nothing on but verdicts.
package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Directory is a scripted directory: what a reading brings, and how it ends.
// Zero values make a full and complete reading.
type Directory struct {
	Records []directory.Record
	// Expires is when what it is read with runs out.
	Expires []source.Expiry
	// Missing is why the reading is not complete.
	Missing string
	// Breaks ends the reading with this error, before record BreakAt.
	Breaks  error
	BreakAt int
	// Delta says that Records are only what changed since the last reading.
	Delta bool
	// Changes, where not nil, are what a reading that starts from a bookmark
	// brings in place of Records, which still are what the directory holds. Swept
	// says that it names everybody besides, Regrouped that it brings the groups of who is new.
	Changes          []directory.Record
	Swept, Regrouped bool
	// Next is the bookmark a reading ends with.
	Next string
	// Away is why the directory cannot be reached at all.
	Away error
	// Filter stands for what a preset puts in force.
	Filter string
	// Mapping is put over the starting rules.
	Mapping map[string]setting.Rule
	// Asked is what the last reading was asked to start from.
	Asked source.Cursor
	// Watch stands for a connection that tells of changes; nil for a directory that
	// has no such ability.
	Watch func(ctx context.Context, changed func()) error
	// Reading is called before each record; a test can wait in it.
	Reading func(n int)
}

// Directories are the scripts of a world by connection alias.
type Directories struct {
	mu sync.Mutex
	by map[string]*Directory
}

// Of gives a connection's script.
func (d *Directories) Of(alias string) *Directory {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = map[string]*Directory{}
	}
	if d.by[alias] == nil {
		d.by[alias] = &Directory{}
	}
	return d.by[alias]
}

// Kind is the scripted directory as a kind of source. Its refs compare without case.
func (d *Directories) Kind(name string) (source.Kind, bool) {
	return source.Kind{
		Name: "script", Title: "Script",
		Options: []setting.Option{
			{Name: "directory"},
			{Name: "server", Place: true},
			{Name: "filter", Basis: true},
			{Name: "page_size"},
			{Name: "groups.members_only", Type: setting.Bool, Basis: true},
		},
		Open: func(v setting.Values, _ source.Env) (source.Source, error) {
			return &script{dir: d.Of(v.String("directory"))}, nil
		},
		Refer: strings.ToLower,

		MembersOnly: func(v setting.Values) bool { return v.Bool("groups.members_only") },
	}, name == "script"
}

type script struct{ dir *Directory }

// starting are the rules a connection has where it names none.
var starting = map[string]setting.Rule{
	"username": {Attribute: "uid"}, "email": {Attribute: "mail"}, "first_name": {Attribute: "givenName"}, "last_name": {Attribute: "sn"},
	"mobile_phone": {Attribute: "mobile"}, "title": {Attribute: "title"}, "department": {Attribute: "department"},
	"manager": {Attribute: "manager"}, "badge": {Attribute: "employeeNumber"},
	"status": {Expr: "adStatus(userAccountControl, accountExpires)"},
}

func (s *script) Expires() []source.Expiry { return s.dir.Expires }

func (s *script) Preset(context.Context) (source.Preset, error) {
	if s.dir.Away != nil {
		return source.Preset{}, s.dir.Away
	}
	rules := map[string]setting.Rule{}
	for name, r := range starting {
		rules[name] = r
	}
	for name, r := range s.dir.Mapping {
		rules[name] = r
	}
	return source.Preset{Vendor: "Script", Anchor: "id", Filter: s.dir.Filter, Mapping: rules}, nil
}

func (s *script) Read(_ context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	s.dir.Asked = req.From
	records, delta := s.dir.Records, s.dir.Delta
	if req.From != nil && s.dir.Changes != nil {
		records, delta = s.dir.Changes, true
	}
	if req.From != nil && !delta {
		if err := req.Anew(); err != nil {
			return source.Reading{}, err
		}
	}
	r := source.Reading{Full: !delta, Swept: delta && s.dir.Swept, Regrouped: delta && s.dir.Regrouped, Complete: s.dir.Missing == "", Reason: s.dir.Missing, Next: source.Cursor(s.dir.Next)}
	for n := range records {
		if s.dir.Reading != nil {
			s.dir.Reading(n)
		}
		if s.dir.Breaks != nil && n == s.dir.BreakAt {
			return source.Reading{}, s.dir.Breaks
		}
		record := records[n]
		record.Attributes = slices.Clone(record.Attributes)
		if err := emit(&record); err != nil {
			return source.Reading{}, err
		}
		if record.Kind == directory.User {
			r.Users++
		} else {
			r.Groups++
		}
	}
	if s.dir.Breaks != nil && s.dir.BreakAt >= len(records) {
		return source.Reading{}, s.dir.Breaks
	}
	return r, nil
}

// Look finds people by uid, mail, ref and external ID.
func (s *script) Look(_ context.Context, who string, _ []string, emit func(*directory.Record) error) error {
	if s.dir.Away != nil {
		return s.dir.Away
	}
	for n := range s.dir.Records {
		record := s.dir.Records[n]
		if record.Kind != directory.User || !slices.Contains([]string{record.First("uid"), record.First("mail"), record.Ref, string(record.ID)}, who) {
			continue
		}
		record.Attributes = slices.Clone(record.Attributes)
		if err := emit(&record); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) Watch(ctx context.Context, changed func()) error {
	if s.dir.Watch == nil {
		return source.ErrNoWatch
	}
	return s.dir.Watch(ctx, changed)
}

func (s *script) Check(context.Context, func(source.Step)) {}

func (s *script) Close() error { return nil }

// Person makes a record of somebody called key, whose attributes follow from it
// where "name=value" does not say otherwise; "name=" leaves one out. The names
// id, ref and password are the record's own.
func Person(key string, set ...string) directory.Record {
	r := directory.Record{Kind: directory.User, ID: directory.ExternalID("id-" + key), Name: "uid=" + key + ",ou=people", Ref: "uid=" + key + ",ou=people"}
	values := map[string]string{"uid": key, "mail": key + "@example.org", "givenName": strings.ToUpper(key[:1]) + key[1:], "sn": "Example"}
	order := []string{"uid", "mail", "givenName", "sn"}
	for _, s := range set {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			panic(fmt.Sprintf("storetest: %q is not name=value", s))
		}
		switch name {
		case "id":
			r.ID = directory.ExternalID(value)
		case "ref":
			r.Ref, r.Name = value, value
		case "password":
			r.Password = value
		case "primary":
			r.Primary = "cn=" + value + ",ou=groups"
		case "problem":
			r.Problem = value
		case "manager":
			if value != "" && !strings.Contains(value, "=") {
				value = "uid=" + value + ",ou=people"
			}
			fallthrough
		default:
			if _, known := values[name]; !known {
				order = append(order, name)
			}
			values[name] = value
		}
	}
	for _, name := range order {
		if values[name] != "" {
			r.Attributes = append(r.Attributes, directory.Attribute{Name: name, Values: []string{values[name]}})
		}
	}
	return r
}

// Gone makes the report that somebody went.
func Gone(key string) directory.Record {
	return directory.Record{Kind: directory.User, ID: directory.ExternalID("id-" + key), Gone: true}
}

// There makes the report that somebody is there, without contents.
func There(key string) directory.Record {
	return directory.Record{Kind: directory.User, ID: directory.ExternalID("id-" + key), Present: true}
}

// Inner makes the same of a group that is read for its members alone.
func Inner(key string, members ...string) directory.Record {
	r := Group(key, members...)
	r.Kind = directory.Inner
	return r
}

// Group makes a record of a group called key. Members are keys of people, or of
// groups behind an @; anything with a = in it is a ref as it stands. "id=",
// "ref=" and "cn=" set what their names say.
func Group(key string, members ...string) directory.Record {
	r := directory.Record{Kind: directory.Group, ID: directory.ExternalID("id-" + key), Name: "cn=" + key + ",ou=groups", Ref: "cn=" + key + ",ou=groups"}
	name := key
	for _, m := range members {
		switch what, value, _ := strings.Cut(m, "="); {
		case what == "id":
			r.ID = directory.ExternalID(value)
		case what == "ref":
			r.Ref, r.Name = value, value
		case what == "cn" && !strings.Contains(value, ","):
			name = value
		case strings.HasPrefix(m, "@"):
			r.Members = append(r.Members, "cn="+m[1:]+",ou=groups")
		case strings.Contains(m, "="):
			r.Members = append(r.Members, m)
		default:
			r.Members = append(r.Members, "uid="+m+",ou=people")
		}
	}
	r.Attributes = []directory.Attribute{{Name: "cn", Values: []string{name}}}
	return r
}

// People makes n people whose keys begin with a prefix.
func People(prefix string, n int) []directory.Record {
	out := make([]directory.Record, n)
	for i := range out {
		out[i] = Person(fmt.Sprintf("%s%03d", prefix, i))
	}
	return out
}
