// Package source is the door between the kinds of directories and the engine.
// A source only reports: it hands records on to the mirror with its own
// attribute names and every value. Choosing, renaming and deciding come later,
// in stages an administrator can see and change.
package source

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/setting"
)

// Kind is a kind of directory: a folder below this one, and one line in all/.
type Kind struct {
	Name    string // "ldap"
	Title   string // "LDAP and Active Directory"
	Options []setting.Option
	// Open makes a source from decoded settings. It reads no network: a wrong
	// address is found by Check or Read. Invalid settings are a fault.Invalid.
	Open func(v setting.Values, env Env) (Source, error)
	// Authenticator opens what proves passwords; nil for kinds whose people have
	// none that could be tried. Like Open it reads no network.
	Authenticator func(v setting.Values, env Env) (Authenticator, error)
	// Passwords says that its records may carry passwords: people sign in with what is
	// kept of them.
	Passwords bool
	// Pushes says that clients push its records one by one: a run follows each change
	// soon, and safeguards count what the runs of a while did together.
	Pushes bool
	// MembersOnly says that, by these settings, only people in one of the groups handed on
	// are synchronized; nil where Read leaves out the others by itself.
	MembersOnly func(v setting.Values) bool
	// Refer normalises a ref as spelled by some record, so that two spellings
	// of one entry (a DN in other case) compare equal.
	Refer func(ref string) string
	// Alike leaves out of what Refer gave what some directories of the kind do not tell
	// apart either (spaces in a DN). Sources hand on refs and members of those directories
	// so; where an attribute names nobody by Refer, this is who it may name. nil where there
	// are none.
	Alike func(referred string) string
}

// OnlyMembers reports whether only people in one of the groups are synchronized.
func (k Kind) OnlyMembers(v setting.Values) bool { return k.MembersOnly != nil && k.MembersOnly(v) }

// Refs are the refs that a text may stand for, the surest first.
func (k Kind) Refs(text string) []directory.Digest {
	ref := k.Refer(text)
	out := []directory.Digest{directory.RefOf(ref)}
	if k.Alike != nil {
		if also := k.Alike(ref); also != ref {
			out = append(out, directory.RefOf(also))
		}
	}
	return out
}

// Env is what a source may know of its surroundings.
type Env struct {
	Dir string // relative file names in settings start here
	// Upload gives the newest file given to the connection through the API, or a
	// fault.NotFound; nil where there is no such way in.
	Upload func(ctx context.Context) (io.ReadCloser, error)
	// Pushed is what clients pushed to the connection; nil where nobody keeps that.
	Pushed Pushed
	// Guard says where addresses of vendors may lead; nil lets them lead anywhere by https.
	Guard Guard
	// Declared says that the settings are those of rollcall.yaml. Whoever wrote them may
	// have tables fetched from the network this process stands in; others may not.
	Declared bool
}

// Guard decides where an address may lead that whoever sets up a connection gives: it
// must not be a way into the network that this process stands in.
type Guard interface {
	// Check refuses an address as far as it can be told without looking its name up.
	Check(u *url.URL) error
	// Dial connects where the guard lets it; plain is without TLS. What it refuses is a
	// fault.Denied.
	Dial(plain bool) func(ctx context.Context, network, address string) (net.Conn, error)
}

// Source is one opened connection's directory. Its methods are not called at
// the same time. Close is called once, last.
type Source interface {
	// Preset looks at the directory and says what kind of server it is, and the
	// mapping that suits it. Called before Read; the answer may be cached.
	Preset(ctx context.Context) (Preset, error)

	// Read reports every record through emit, people first and then groups.
	// An error ends the reading and nothing of it counts; an error of emit is
	// returned as it is. Where all answers came but something is missing (a
	// size limit, a truncated attribute, a referral that was not followed),
	// there is no error and Reading.Complete is false with a reason.
	Read(ctx context.Context, req Request, emit func(*directory.Record) error) (Reading, error)

	// Check goes through the steps of reaching the directory, one after the
	// other, reporting each as it ends. It stops at the first that makes the
	// next pointless. The steps tell what went wrong; there is no other error.
	Check(ctx context.Context, report func(Step))

	Close() error
}

// Preset is what a source proposes for the directory it found.
type Preset struct {
	Vendor  string // "OpenLDAP", "Active Directory", "CSV"
	Anchor  string // the attribute external IDs come from
	Filter  string // the filter for people that is in force
	Mapping map[string]setting.Rule
	// Attributes are all that records of people can have, where the source knows: a rule
	// of any other finds nothing. Nil where it does not.
	Attributes []string
}

// Request says what to read.
type Request struct {
	From       Cursor   // nil asks for a full reading
	Attributes []string // the attributes wanted of people; the source adds what it needs itself
	// Known reports whether the mirror holds an entry. A reading that learns of an
	// entry's presence alone asks it, and reports the whole record of those that are
	// not known. Nil where From is.
	Known func(directory.Kind, directory.ExternalID) (bool, error)
	// Soon names entries of a kind that Known is about to be asked for, or that are about
	// to be reported: to look for many at once takes a fraction of the time. Nothing
	// depends on it. Nil where Known is, or where nothing is gained.
	Soon func(directory.Kind, []directory.ExternalID) error
	// Keys calls fn with the digest of every entry that is known, for a reading far from
	// the mirror, to which each question of Known is a journey. Nil where Known is, or
	// where nobody can list them.
	Keys func(fn func(directory.Digest) error) error
	// Anew is called by a reading that was given From and reads everything none the
	// less, before its first record. Nil where From is.
	Anew func() error
	// Sweep asks a reading of changes to name every entry there is as well.
	Sweep bool
	// Now is the time of the reading.
	Now time.Time
	// Progress is called now and then with the counts so far; may be nil.
	Progress func(users, groups int)
}

// Cursor is a source's own bookmark: where the next reading may start.
type Cursor []byte

// Reading is the verdict on one pass over a directory.
type Reading struct {
	Next     Cursor
	Full     bool   // every record was reported; in a delta only what changed, and removals by name
	Swept    bool   // a delta in which, besides, every entry there is was named, so that what was not is gone
	Complete bool   // all was reported, so what is missing (or named as gone) is gone
	Method   string // how it was read: "full", "dirsync", "usn", "syncrepl", "modify-timestamp"
	Reason   string // why it is not complete, in one sentence
	Users    int
	Groups   int
	// Regrouped says of a reading of changes that all groups in which those are who were
	// not there before came too: no other one has them among its members.
	Regrouped bool
	Notes     []string // what a person should know: referrals, ignored controls
}

// Step is one step of the connection doctor.
type Step struct {
	Name    string        // "DNS", "TCP", "TLS", "bind", ...
	Section Section       // the part of the settings it is about
	Verdict Verdict       //
	Detail  string        // what was found, for a person; may hold several lines
	Hint    string        // what to do when it failed
	Took    time.Duration //
	// Count is how many people, or groups, the step found; nil where it counts none.
	Count *int
	Names []string // up to MostNames of those counted
	// Proposal is what the directory says that settings may be, on the step at which
	// that is known; nil on all others.
	Proposal *Proposal
}

// Counted is a step that found so many people or groups, some of them by name.
func (s Step) Counted(n int, names []string) Step {
	s.Count, s.Names = &n, names[:min(len(names), MostNames)]
	return s
}

// MostNames is how many of those counted a step names.
const MostNames = 10

// Section is a part of a connection's settings, as a form shows them: each has a
// light of its own, which is as bad as the worst step about it.
type Section string

// The sections, in the order in which steps about them come.
const (
	Settings Section = "settings" // they are not whole
	Address  Section = "address"  // name, port, file
	TLS      Section = "tls"      // encryption and certificates
	SignIn   Section = "sign-in"  // the account that reads
	Base     Section = "base"     // what the server is, and where its people are
	Layout   Section = "layout"   // encoding, separator and columns of a table
	Users    Section = "users"    // who is read
	Groups   Section = "groups"   // which groups are read
	Changes  Section = "changes"  // how changes are found
	Mapping  Section = "mapping"  // fields, scope, and what cannot be used
	Match    Section = "match"    // who claims the same
)

// Proposal is what a directory says of itself, in the terms of its settings. What
// it does not say is empty.
type Proposal struct {
	Vendor       string   // "OpenLDAP"
	Version      string   // as the server names itself
	Bases        []string // naming contexts, the likeliest first; where people may be looked for
	Filter       string   // for people, of the vendor's preset
	Anchor       string   // the attribute external IDs come from
	GroupFilter  string
	GroupName    string   // the attribute with a group's name
	GroupMembers []string // the attributes with its members
	Columns      []string // of a table
	Encoding     string   // of a table
	Separator    string   // of a table: "comma", "semicolon" or "tab"
	Mapping      map[string]setting.Rule
}

// Verdict of a step.
type Verdict string

// The verdicts.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
	Skip Verdict = "skip" // does not apply here
)

// Finder is a source that can look for one entry without the filter, to say why
// somebody was not read.
type Finder interface {
	// Find gives the entries a name, DN, e-mail or external ID leads to, at most
	// a handful, and for each the conditions of being read.
	Find(ctx context.Context, who string) ([]Found, error)
}

// Looker is a source that can read single people as they are now.
type Looker interface {
	// Look hands on the whole records, as Read does, of the people whom a name, DN,
	// e-mail or external ID leads to, at most a handful. Who lies outside of what is
	// read is not among them. attributes are those wanted; nil asks for all there are,
	// but those that may hold a secret, see directory.Secret. It is all or nothing: a
	// record of which something is missing is an error.
	Look(ctx context.Context, who string, attributes []string, emit func(*directory.Record) error) error
}

// Watcher is a source that can tell of changes as they happen.
type Watcher interface {
	// Watch stays connected and calls changed (quick, never at the same time)
	// after the directory said that something it reads may have changed, and once
	// at the start, when it listens. It returns when ctx ends or the connection
	// does, and ErrNoWatch where the directory has no such ability. What changed is
	// found out by Read alone.
	Watch(ctx context.Context, changed func()) error
}

// Expirer is a source that knows when something it signs in with runs out.
type Expirer interface {
	Expires() []Expiry
}

// Expiry is the end of one such thing.
type Expiry struct {
	Name string // "client certificate"
	At   time.Time
	// Idle says that it ends when it is not used: each reading that goes well moves At on.
	Idle bool
}

// ErrNoWatch is what Watch returns for a directory that does not tell of changes.
var ErrNoWatch = errors.New("the directory does not tell of changes as they happen")

// Found is an entry and how it stands towards base and filter.
type Found struct {
	Name    string
	Clauses []Clause
}

// Clause is one condition of being read.
type Clause struct {
	Name   string // "base", "filter"
	Holds  bool
	Detail string // `the filter (mail=*) does not match it`
}

// As finds an ability of a source, looking through wrappers.
func As[T any](s Source) (T, bool) {
	for {
		if t, ok := s.(T); ok {
			return t, true
		}
		w, ok := s.(interface{ Unwrap() Source })
		if !ok {
			var none T
			return none, false
		}
		s = w.Unwrap()
	}
}
