package servertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/ldap"
)

// key is how the mirror knows an entry.
type key struct {
	kind directory.Kind
	id   directory.ExternalID
}

// known is a record and the reading it came with.
type known struct {
	directory.Record
	generation int
}

// former is an entry a ref meant to records of generations below until.
type former struct {
	until int
	key   key
}

// picture is what is known of a directory: what one full reading said, and the
// readings of changes after it. It is kept as the mirror keeps it: a record means
// by its refs whom they meant when it was read, since nobody reports a group
// again because somebody in it has another name.
type picture struct {
	server  *servers.Server
	set     setting.Values
	mapping *mapping.Mapping
	preset  source.Preset

	generation int
	records    map[key]known
	byRef      map[string]key
	former     map[string][]former
	last       source.Reading // the reading before
	anew       bool           // whether it read everything in place of changes
	next       source.Cursor
	by         string // the method of the last reading of changes
}

// settings read a server's people and groups as its reader, over TLS.
func settings(s *servers.Server, more setting.Values) setting.Values {
	v := setting.Values{
		"addr": []string{s.TLSURL}, "tls.ca_file": s.CAFile, "bind_dn": s.ReaderDN, "bind_password": s.ReaderPassword,
		"base_dn": s.PeopleBase, "groups.base_dn": s.GroupsBase,
	}
	maps.Copy(v, more)
	return v
}

// look asks a server for its preset and has nothing read yet.
func look(ctx context.Context, s *servers.Server, more setting.Values) (*picture, error) {
	p := &picture{server: s, set: settings(s, more), records: map[key]known{}}
	src, err := p.open()
	if err != nil {
		return nil, err
	}
	p.preset, err = src.Preset(ctx)
	if err := errors.Join(err, src.Close()); err != nil {
		return nil, err
	}
	p.mapping, err = mapping.Compile(p.preset.Mapping, mapping.Options{})
	return p, err
}

// full is a picture by one complete reading of everything, without a cursor.
func full(ctx context.Context, s *servers.Server, more setting.Values) (*picture, error) {
	p, err := look(ctx, s, more)
	if err != nil {
		return nil, err
	}
	if err := p.read(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *picture) open() (source.Source, error) {
	return ldap.Kind.Open(maps.Clone(p.set), source.Env{})
}

// read takes a reading into the picture: of everything at first, of changes
// from then on. A reading that is not complete is an error here.
func (p *picture) read(ctx context.Context) (err error) {
	src, err := p.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	generation := p.generation + 1
	records, seen := maps.Clone(p.records), map[key]bool{}
	req := source.Request{From: p.next, Attributes: p.mapping.Attributes(), Now: time.Now()}
	p.anew = false
	if req.From != nil {
		req.Known = func(kind directory.Kind, id directory.ExternalID) (bool, error) {
			_, ok := records[key{kind, id}]
			return ok, nil
		}
		req.Anew = func() error { p.anew = true; return nil }
	}
	got, err := src.Read(ctx, req, func(r *directory.Record) error {
		k := key{r.Kind, r.ID}
		switch {
		case r.Gone:
			delete(records, k)
			delete(seen, k)
		case r.Present:
			seen[k] = true
		case r.Problem != "":
			return fmt.Errorf("%s: %s", r.Name, r.Problem)
		default:
			seen[k] = true
			fresh := known{generation: generation}
			err = fresh.Decode(r.Append(nil))
			records[k] = fresh
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !got.Complete:
		return fmt.Errorf("the reading by %s is not complete: %s", got.Method, got.Reason)
	case req.From != nil && got.Full != p.anew:
		return fmt.Errorf("the reading by %s says it read everything: %v; it said before that it would: %v", got.Method, got.Full, p.anew)
	}
	if got.Full || got.Swept {
		maps.DeleteFunc(records, func(k key, _ known) bool { return !seen[k] })
	}
	p.publish(records, generation, got.Full)
	p.last, p.next = got, got.Next
	if !got.Full {
		p.by = got.Method
	}
	return nil
}

// publish makes records the picture, and takes down what refs meant until now.
func (p *picture) publish(records map[key]known, generation int, full bool) {
	if full {
		p.former = map[string][]former{}
	} else {
		for k, old := range p.records {
			ref := ldap.Refer(old.Ref)
			if now, ok := records[k]; !ok || ldap.Refer(now.Ref) != ref {
				p.former[ref] = append(p.former[ref], former{generation, k})
			}
		}
	}
	p.records, p.generation, p.byRef = records, generation, map[string]key{}
	for k, r := range records {
		p.byRef[ldap.Refer(r.Ref)] = k
	}
}

// meant is the entry a record means by a ref, as far as it is known.
func (p *picture) meant(by known, ref string) (key, bool) {
	ref = ldap.Refer(ref)
	for _, f := range p.former[ref] {
		if f.until > by.generation {
			_, there := p.records[f.key]
			return f.key, there
		}
	}
	k, there := p.byRef[ref]
	return k, there
}

// person is somebody as the preset's mapping sees them.
type person struct {
	id directory.ExternalID
	mapping.User
	record known
}

// uid finds somebody by what they sign in with; in Active Directory that is the
// first part of the user principal name.
func (p *picture) uid(uid string) (*person, error) {
	var found *person
	for k, r := range p.records {
		if k.kind != directory.User {
			continue
		}
		u := p.mapping.Map(&r.Record, time.Now())
		if name, _, _ := strings.Cut(u.Text[account.Username], "@"); name == uid {
			if found != nil {
				return nil, fmt.Errorf("two people sign in as %s", uid)
			}
			found = &person{k.id, u, r}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s was not read", uid)
	}
	return found, nil
}

// login is the other way round.
func (p *picture) login(k key) string {
	r := p.records[k]
	u := p.mapping.Map(&r.Record, time.Now())
	name, _, _ := strings.Cut(u.Text[account.Username], "@")
	return name
}

// group finds a group by its name.
func (p *picture) group(name string) (key, error) {
	for k, r := range p.records {
		if k.kind == directory.Group && r.Attributes[0].Values[0] == name {
			return k, nil
		}
	}
	return key{}, fmt.Errorf("the group %s was not read", name)
}

// members are the people and groups in a group, as far as they were read:
// people by what they sign in with, groups as "[name]", in order.
func (p *picture) members(name string) ([]string, error) {
	k, err := p.group(name)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range p.records[k].Members {
		if to, ok := p.meant(p.records[k], m); !ok {
			continue
		} else if to.kind == directory.Group {
			out = append(out, "["+p.records[to].Attributes[0].Values[0]+"]")
		} else {
			out = append(out, p.login(to))
		}
	}
	slices.Sort(out)
	return out, nil
}

// resolve says whom a ref means: a ref that means nobody is as good as none.
func (p *picture) resolve(by known, ref string) string {
	if k, ok := p.meant(by, ref); ok {
		return fmt.Sprintf("%s %s", k.kind, k.id)
	}
	return ""
}

// shape is all that stages after the mirror can see of a record, as text.
func (p *picture) shape(k key) string {
	r := p.records[k]
	var lines []string
	for _, a := range r.Attributes {
		values := slices.Clone(a.Values)
		if strings.EqualFold(a.Name, "manager") {
			for i := range values {
				values[i] = p.resolve(r, values[i])
			}
			values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		}
		slices.Sort(values)
		if len(values) > 0 {
			lines = append(lines, fmt.Sprintf("%s=%q", a.Name, values))
		}
	}
	slices.Sort(lines)
	members := map[string]bool{}
	for _, m := range r.Members {
		members[p.resolve(r, m)] = true
	}
	delete(members, "")
	return fmt.Sprintf("%s\n  %s\n  members %q\n  primary group %s", ldap.Refer(r.Ref), strings.Join(lines, "\n  "), slices.Sorted(maps.Keys(members)), p.resolve(r, r.Primary))
}

// differs tells where a picture is not as another.
func (p *picture) differs(from *picture) error {
	var errs []error
	for k, r := range from.records {
		if _, ok := p.records[k]; !ok {
			errs = append(errs, fmt.Errorf("%s is missing", r.Name))
		} else if have, want := p.shape(k), from.shape(k); have != want {
			errs = append(errs, fmt.Errorf("%s is known as\n%s\nand is\n%s", r.Name, unlike(have, want), unlike(want, have)))
		}
	}
	for k, r := range p.records {
		if _, ok := from.records[k]; !ok {
			errs = append(errs, fmt.Errorf("%s is known and not there any more", r.Name))
		}
	}
	return errors.Join(errs...)
}

// unlike are the lines of a text that another does not have.
func unlike(text, other string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return slices.Contains(strings.Split(other, "\n"), l) }), "\n")
}
