// Package match says which account an entry belongs to, and hands pairs of the
// two on to the planner. An entry is known first by its external ID, so a
// rename or a move never makes a second account; where no account carries that
// ID, the connection's matching attributes are tried in order.
//
// Two claims on one account, or one claim on two accounts, are a dispute that
// names both sides; nobody in a dispute is changed.
package match

import (
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/setting"
)

// State of an entry when it comes to be matched.
type State uint8

// The states.
const (
	Present    State = iota // there, in scope and well-formed
	OutOfScope              // there, but a rule keeps it out
	Gone                    // no longer in the directory
	Broken                  // there, but it cannot be used as it is
)

// Entry is one mirror row after mapping and scope.
type Entry struct {
	Key        directory.Digest
	Ref        directory.Digest
	ExternalID directory.ExternalID
	Name       string
	State      State
	Why        string // why it is out of scope or broken
	User       mapping.User
	HasSecret  bool // the row carries a password's hash
}

// How an account was found for an entry.
type How uint8

// The ways.
const (
	Not    How = iota // there is none
	Linked            // by external ID
	Found             // by a matching attribute
)

// Refusal is a match the rules of the connection do not let happen.
type Refusal struct {
	Kind string // "dispute", "overlap" or "refused"
	Text string // names both sides
	// Of an overlap: the account's connection and its entry there.
	Account  account.ID
	Owner    string
	OwnerKey directory.Digest
}

// Pair is an entry and its account, either of which may be missing.
type Pair struct {
	Entry
	How     How
	By      string // the matching attribute that found it
	Account *account.Account
	NewID   account.ID // of an account to be created
	Refusal *Refusal
	// Manager is the account of the entry's manager; Unresolved says why there
	// is none although the entry names one.
	Manager    account.ID
	Unresolved string
}

// Holder is an account that carries a username or e-mail an entry claims.
type Holder struct {
	ID           account.ID
	Connection   string
	Key          directory.Digest // its entry's key in that connection
	UsernameKey  string
	EmailKey     string
	Username     string
	Email        string
	Status       account.Status
	Cause        account.Cause
	ExternalID   string
	Organization string
}

// Leaver says that the account's person left its directory: the account is kept
// for their return and blocks nobody's name or address.
func (h *Holder) Leaver() bool {
	return h.Status == account.Deleted || h.Status == account.Disabled && h.Cause == account.ByAbsence
}

func (h *Holder) label() string {
	who := h.Username
	if h.Email != "" && h.Email != h.Username {
		who += " <" + h.Email + ">"
	}
	return fmt.Sprintf("account %s (%s)", who, h.ID)
}

// Rules are what matching depends on besides the entries.
type Rules struct {
	Organization string
	Connection   string
	Match        []string
	Policy       setting.Policy
	// Incomplete: the reading did not see everything. Then nothing is taken to
	// have left.
	Incomplete bool
	// Owner says which of two connections was declared the owner of entries
	// both claim, or "".
	Owner func(a, b string) string
	// Overlaps are the keys of this connection that others claim: key to the
	// words that name the claimant.
	Overlaps map[directory.Digest]Claimant
}

// Claimant is the other side of an overlap.
type Claimant struct {
	Connection string
	Name       string
}

// slot is what the survey remembers of one entry: about a hundred bytes.
type slot struct {
	key, ref        directory.Digest
	username, email uint64     // hashes of the folded names; 0 none
	account         account.ID // linked, or the one to be created
	how             How
	state           State
	keeps           bool // its linked account carries both names already
}

// Survey is the first pass over the entries to be planned: it collects claims,
// so that the second pass can judge each entry in the light of all others.
type Survey struct {
	rules   Rules
	slots   []slot
	byKey   map[directory.Digest]int32
	byRef   map[directory.Digest]int32
	names   map[uint64]int32   // first claimant of a name
	clashes map[uint64][]int32 // every claimant, where there are several
	holders map[int32][]found
	outcome map[int32]outcome
	leaving map[account.ID]bool
}

type found struct {
	Holder
	by []string // the attributes that agree
}

type outcome struct {
	account account.ID
	by      string
	refusal *Refusal
}

// NewSurvey starts an empty survey.
func NewSurvey(rules Rules) *Survey {
	return &Survey{
		rules: rules, byKey: map[directory.Digest]int32{}, byRef: map[directory.Digest]int32{},
		names: map[uint64]int32{}, clashes: map[uint64][]int32{}, holders: map[int32][]found{}, outcome: map[int32]outcome{},
	}
}

// hash64 is a short stand-in for a name; equal hashes are checked by name before
// anything is decided on them.
func hash64(kind byte, folded string) uint64 {
	if folded == "" {
		return 0
	}
	d := directory.Sum(append([]byte{kind}, folded...))
	var v uint64
	for _, b := range d[:8] {
		v = v<<8 | uint64(b)
	}
	return v | 1
}

func usernameHash(s string) uint64 { return hash64('u', account.Fold(s)) }
func emailHash(s string) uint64    { return hash64('e', account.Fold(s)) }

// Add takes one entry and its linked account, if it has one. It reports whether
// the names must be looked up among all accounts (see Holders).
func (s *Survey) Add(e *Entry, linked *Holder) (lookup bool) {
	i := int32(len(s.slots))
	sl := slot{key: e.Key, ref: e.Ref, state: e.State}
	if linked != nil {
		sl.how, sl.account = Linked, linked.ID
	}
	if linked == nil && e.State == Present {
		sl.account = NewID(s.rules.Organization, s.rules.Connection, e.ExternalID)
	}
	if e.State == Present {
		username, email := account.Fold(e.User.Text[account.Username]), account.Fold(e.User.Text[account.Email])
		sl.username, sl.email = hash64('u', username), hash64('e', email)
		sl.keeps = linked != nil && linked.UsernameKey == username && linked.EmailKey == email
		lookup = !sl.keeps || linked.Leaver()
		for _, h := range [...]uint64{sl.username, sl.email} {
			if first, ok := s.names[h]; !ok {
				s.names[h] = i
			} else if c := s.clashes[h]; c == nil {
				s.clashes[h] = []int32{first, i}
			} else {
				s.clashes[h] = append(c, i)
			}
		}
	}
	s.slots = append(s.slots, sl)
	s.byKey[e.Key] = i
	s.byRef[e.Ref] = i
	return lookup
}

// Holders takes the accounts of the organization that carry the entry's
// username or e-mail.
func (s *Survey) Holders(e *Entry, all []Holder) {
	i := s.byKey[e.Key]
	username, email := account.Fold(e.User.Text[account.Username]), account.Fold(e.User.Text[account.Email])
	var out []found
	for _, h := range all {
		if s.slots[i].how == Linked && h.ID == s.slots[i].account {
			continue
		}
		f := found{Holder: h}
		if h.UsernameKey == username {
			f.by = append(f.by, "username")
		}
		if h.EmailKey == email {
			f.by = append(f.by, "email")
		}
		if len(f.by) > 0 {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		return
	}
	slices.SortFunc(out, func(a, b found) int { return strings.Compare(string(a.ID[:]), string(b.ID[:])) })
	s.holders[i] = out
}

// Ambiguous lists the keys of entries whose names clash with another's, for
// Resolve to be told what they are called.
func (s *Survey) Ambiguous() []directory.Digest {
	var out []directory.Digest
	for _, group := range s.clashes {
		for _, i := range group {
			out = append(out, s.slots[i].key)
		}
	}
	return out
}

// Resolve ends the survey. names gives what each ambiguous entry is called and
// claims.
func (s *Survey) Resolve(names map[directory.Digest]*Entry) {
	s.clash(names)
	for i := range s.slots {
		s.settle(int32(i))
	}
	s.rivals(names)
}

// clash marks entries that claim one username or e-mail. Who holds it already
// keeps it; where nobody does, none of them gets it.
func (s *Survey) clash(names map[directory.Digest]*Entry) {
	for h, group := range s.clashes {
		incumbents := 0
		var incumbent int32
		for _, i := range group {
			if s.slots[i].how == Linked && s.slots[i].keeps {
				incumbents++
				incumbent = i
			}
		}
		for _, i := range group {
			if incumbents == 1 && i == incumbent {
				continue
			}
			me := names[s.slots[i].key]
			if me == nil {
				continue
			}
			what, mine := "username", me.User.Text[account.Username]
			if s.slots[i].email == h {
				what, mine = "email", me.User.Text[account.Email]
			}
			var others []string
			for _, j := range group {
				if j == i {
					continue
				}
				other := names[s.slots[j].key]
				if other == nil {
					continue
				}
				theirs := other.User.Text[account.Username]
				if what == "email" {
					theirs = other.User.Text[account.Email]
				}
				if account.Fold(theirs) == account.Fold(mine) {
					others = append(others, other.Name)
				}
			}
			if len(others) == 0 {
				continue // two names with one hash
			}
			slices.Sort(others)
			s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
				Text: fmt.Sprintf("%s and %s both claim the %s %q", me.Name, strings.Join(others, " and "), what, mine)}}
		}
	}
}

// settle decides what the holders of an entry's names mean for it.
func (s *Survey) settle(i int32) {
	if c, ok := s.rules.Overlaps[s.slots[i].key]; ok && s.slots[i].how == Linked {
		switch s.rules.Owner(s.rules.Connection, c.Connection) {
		case s.rules.Connection:
		case c.Connection:
			s.outcome[i] = outcome{refusal: &Refusal{Kind: "refused",
				Text: fmt.Sprintf("connection %s is the declared owner of this person (its entry: %s)", c.Connection, c.Name)}}
			return
		default:
			s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
				Text: fmt.Sprintf("connection %s claims this account too, by its entry %s; changed by neither until one has `overlap: own`", c.Connection, c.Name)}}
			return
		}
	}
	if _, done := s.outcome[i]; done || len(s.holders[i]) == 0 {
		return
	}
	var candidates []found
	for _, h := range s.holders[i] {
		if s.released(&h) {
			continue
		}
		if s.ours(&h) && !s.leaves(&h) {
			s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
				Text: fmt.Sprintf("the %s it claims belongs to %s, which another entry (%s) holds", strings.Join(h.by, " and "), h.label(), h.ExternalID)}}
			return
		}
		candidates = append(candidates, h)
	}
	if len(candidates) == 0 {
		return
	}
	if s.slots[i].how == Linked {
		s.settleLinked(i, candidates)
		return
	}
	s.choose(i, candidates)
}

// settleLinked: the entry has its account; somebody else's carries the name.
func (s *Survey) settleLinked(i int32, candidates []found) {
	for _, h := range candidates {
		if !h.Leaver() && !s.leaves(&h) {
			s.outcome[i] = outcome{refusal: s.foreign(&h)}
			return
		}
	}
}

// choose picks the account an entry without one matches.
func (s *Survey) choose(i int32, candidates []found) {
	var living, chosen []found
	for _, h := range candidates {
		if !h.Leaver() && !s.leaves(&h) {
			living = append(living, h)
		}
	}
	by := ""
	pool := living
	if len(pool) == 0 {
		pool = candidates
	}
	for _, attribute := range s.rules.Match {
		for _, h := range pool {
			if slices.Contains(h.by, attribute) && !slices.ContainsFunc(chosen, func(c found) bool { return c.ID == h.ID }) {
				chosen = append(chosen, h)
				if by == "" {
					by = attribute
				}
			}
		}
		if len(living) == 0 && len(chosen) > 0 {
			break // among people who left, the first attribute that names one decides
		}
	}
	switch {
	case len(chosen) == 0 && len(living) > 0:
		// The name is taken by an account the matching attributes may not claim.
		s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
			Text: fmt.Sprintf("the %s it claims belongs to %s", strings.Join(living[0].by, " and "), living[0].label())}}
	case len(chosen) == 0:
	case len(chosen) > 1:
		s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
			Text: fmt.Sprintf("it claims two accounts: %s by %s, %s by %s", chosen[0].label(), chosen[0].by[0], chosen[1].label(), chosen[1].by[0])}}
	default:
		h := chosen[0]
		if !s.ours(&h) {
			if r := s.takeover(&h); r != nil {
				s.outcome[i] = outcome{refusal: r}
				return
			}
		}
		s.outcome[i] = outcome{account: h.ID, by: by}
	}
}

// ours: the account is kept by this connection.
func (s *Survey) ours(h *found) bool { return h.Connection == s.rules.Connection }

// released: an entry of this plan holds the account and gives up the name.
func (s *Survey) released(h *found) bool {
	if !s.ours(h) {
		return false
	}
	j, ok := s.byKey[h.Key]
	if !ok || s.slots[j].state != Present {
		return false
	}
	holds := false
	for _, by := range h.by {
		if by == "username" && s.slots[j].username == usernameHash(h.Username) || by == "email" && s.slots[j].email == emailHash(h.Email) {
			holds = true
		}
	}
	return !holds
}

// leaves: the account's entry of this connection is gone or out of scope, so
// that its person may come back as another entry.
func (s *Survey) leaves(h *found) bool {
	if h.Leaver() {
		return true
	}
	if !s.ours(h) || s.rules.Incomplete {
		return false
	}
	j, ok := s.byKey[h.Key]
	return ok && (s.slots[j].state == Gone || s.slots[j].state == OutOfScope)
}

// foreign says who holds a name outside of this connection.
func (s *Survey) foreign(h *found) *Refusal {
	r := &Refusal{Kind: "dispute", Text: fmt.Sprintf("the %s it claims belongs to %s of %s", strings.Join(h.by, " and "), h.label(), provider(h.Connection))}
	return r
}

// takeover says why an account of another provider is not taken over, or nil
// when it is.
func (s *Survey) takeover(h *found) *Refusal {
	if h.Connection != account.Local && !h.Leaver() {
		switch s.rules.Owner(s.rules.Connection, h.Connection) {
		case s.rules.Connection:
			return nil
		case h.Connection:
			return &Refusal{Kind: "refused", Text: fmt.Sprintf("connection %s is the declared owner of %s", h.Connection, h.label())}
		}
		return &Refusal{Kind: "overlap", Account: h.ID, Owner: h.Connection, OwnerKey: h.Key,
			Text: fmt.Sprintf("connection %s keeps %s and claims the same person; changed by neither until one has `overlap: own`", h.Connection, h.label())}
	}
	if s.rules.Policy.NoUpdateProviderMismatch {
		return &Refusal{Kind: "refused",
			Text: fmt.Sprintf("would link to %s of %s; `no-update-provider-mismatch` leaves it alone", h.label(), provider(h.Connection))}
	}
	return nil
}

func provider(connection string) string {
	if connection == account.Local {
		return "provider local"
	}
	return "connection " + connection
}

// rivals finds accounts that two entries would be linked to.
func (s *Survey) rivals(names map[directory.Digest]*Entry) {
	claims := map[account.ID][]int32{}
	for i, o := range s.outcome {
		if o.refusal == nil && !o.account.IsZero() {
			claims[o.account] = append(claims[o.account], i)
		}
	}
	for id, group := range claims {
		if len(group) < 2 {
			continue
		}
		var who []string
		for _, i := range group {
			name := fmt.Sprintf("entry %x", s.slots[i].key)
			if e := names[s.slots[i].key]; e != nil {
				name = e.Name
			}
			who = append(who, name)
		}
		slices.Sort(who)
		for _, i := range group {
			s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
				Text: fmt.Sprintf("%s all match account %s", strings.Join(who, " and "), id)}}
		}
	}
}

// Rivals lists keys of entries that match an account another entry matches too,
// for Resolve to be told their names.
func (s *Survey) Rivals() []directory.Digest {
	seen := map[account.ID][]int32{}
	for i, hs := range s.holders {
		for _, h := range hs {
			seen[h.ID] = append(seen[h.ID], i)
		}
	}
	var out []directory.Digest
	for _, group := range seen {
		if len(group) > 1 {
			for _, i := range group {
				out = append(out, s.slots[i].key)
			}
		}
	}
	return out
}

// NewID is the ID of the account an entry would get.
func NewID(organization, connection string, id directory.ExternalID) account.ID {
	return account.NewID(organization, connection, "user", string(id))
}

// Pair gives an entry its place. The caller fills in Account, fetched by the ID
// that AccountOf gives, and Manager.
func (s *Survey) Pair(e *Entry) Pair {
	i := s.byKey[e.Key]
	p := Pair{Entry: *e, How: s.slots[i].how}
	o := s.outcome[i]
	p.Refusal = o.refusal
	switch {
	case p.How == Linked:
	case !o.account.IsZero():
		p.How, p.By = Found, o.by
	case e.State == Present:
		p.NewID = s.slots[i].account
	}
	return p
}

// AccountOf gives the account an entry is linked to or matched with.
func (s *Survey) AccountOf(key directory.Digest) (account.ID, bool) {
	i, ok := s.byKey[key]
	if !ok {
		return account.ID{}, false
	}
	if s.slots[i].how == Linked {
		return s.slots[i].account, true
	}
	if o := s.outcome[i]; o.refusal == nil && !o.account.IsZero() {
		return o.account, true
	}
	return account.ID{}, false
}

// Target is what a ref to an entry of this plan leads to.
type Target struct {
	Account account.ID
	Present bool // in scope and well-formed
	Gone    bool // no longer in the directory
	Left    bool // gone, or out of scope
}

// ByRef follows a ref to an entry of this plan. ok is false when no entry of
// this plan carries it; a zero Account says that the entry has none and will
// get none.
func (s *Survey) ByRef(ref directory.Digest) (Target, bool) {
	i, ok := s.byRef[ref]
	if !ok {
		return Target{}, false
	}
	sl := &s.slots[i]
	t := Target{Present: sl.state == Present, Gone: sl.state == Gone, Left: sl.state == Gone || sl.state == OutOfScope}
	if id, ok := s.AccountOf(sl.key); ok {
		t.Account = id
	} else if sl.state == Present && s.outcome[i].refusal == nil && !s.rules.Policy.NoCreate {
		t.Account = sl.account
	}
	return t, true
}

// Each hands on where the ref of every entry of the survey leads.
func (s *Survey) Each(fn func(ref directory.Digest, t Target)) {
	for i := range s.slots {
		if t, ok := s.ByRef(s.slots[i].ref); ok {
			fn(s.slots[i].ref, t)
		}
	}
}

// Leaves reports whether the entry of an account of this connection is gone or
// out of scope in this plan.
func (s *Survey) Leaves(id account.ID) bool {
	if s.leaving == nil {
		s.leaving = map[account.ID]bool{}
		for i := range s.slots {
			if sl := &s.slots[i]; sl.how == Linked && (sl.state == Gone || sl.state == OutOfScope) {
				s.leaving[sl.account] = true
			}
		}
	}
	return s.leaving[id]
}
