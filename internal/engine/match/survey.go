package match

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
)

// slot is what the survey remembers of one entry: about a hundred bytes.
type slot struct {
	key, ref        directory.Digest
	username, email uint64     // hashes of the folded names; 0 none
	account         account.ID // linked, or the one to be created
	how             How
	state           State
	holds           [2]bool // its linked account carries the username, the e-mail already
	leaver          bool    // its linked account's person had left
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
	refused []bool // by slot, as of the last round
	settled bool   // there was a round
	leaving map[account.ID]bool
	coming  map[account.ID]bool
	moved   map[account.ID]bool     // accounts an entry without one was matched with
	crowds  map[int32]account.Value // a further value of an entry that too many accounts carry
}

// NewSurvey starts an empty survey of about n entries.
func NewSurvey(rules Rules, n int) *Survey {
	return &Survey{
		rules: rules, slots: make([]slot, 0, n), byKey: make(map[directory.Digest]int32, n), byRef: make(map[directory.Digest]int32, n),
		names: make(map[uint64]int32, 2*n), clashes: map[uint64][]int32{}, holders: map[int32][]found{}, outcome: map[int32]outcome{},
		crowds: map[int32]account.Value{},
	}
}

// hash64 is a short stand-in for a name; equal hashes are checked by name before
// anything is decided on them.
func hash64(kind byte, folded string) uint64 {
	if folded == "" {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteByte(kind)     //nolint:errcheck // it never fails
	h.WriteString(folded) //nolint:errcheck // it never fails
	return h.Sum64() | 1
}

// seed is another one in each process, so that nobody can make up names of one hash.
var seed = maphash.MakeSeed()

func usernameHash(s string) uint64 { return hash64('u', account.Fold(s)) }

func emailHash(s string) uint64 { return hash64('e', account.Fold(s)) }

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
		if linked != nil {
			sl.holds = [2]bool{linked.UsernameKey == username, linked.EmailKey == email}
			sl.leaver = linked.Leaver()
		}
		lookup = sl.holds != [2]bool{true, true} || sl.leaver
		s.claim(i, sl.username)
		s.claim(i, sl.email)
		for _, v := range e.Values {
			s.claim(i, valueHash(v))
		}
	}
	s.slots = append(s.slots, sl)
	s.byKey[e.Key] = i
	// An entry that was made anew has the ref of the one that is gone.
	if j, ok := s.byRef[e.Ref]; !ok || s.before(i, j) {
		s.byRef[e.Ref] = i
	}
	return lookup
}

// claim notes that an entry claims a name or value, by its hash.
func (s *Survey) claim(i int32, h uint64) {
	if first, ok := s.names[h]; !ok {
		s.names[h] = i
	} else if c := s.clashes[h]; c == nil {
		s.clashes[h] = []int32{first, i}
	} else {
		s.clashes[h] = append(c, i)
	}
}

// before says which of two entries with one ref it leads to: the one that is
// there, in whatever order they came.
func (s *Survey) before(i, j int32) bool {
	rank := [...]int{Present: 0, OutOfScope: 1, Broken: 2, Gone: 3}
	a, b := &s.slots[i], &s.slots[j]
	return cmp.Or(cmp.Compare(rank[a.state], rank[b.state]), bytes.Compare(a.key[:], b.key[:])) < 0
}

// Holders takes the accounts of the organization that carry the entry's
// username or e-mail, or, where it has no account yet, one of its further values.
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
		if s.slots[i].how == Not {
			f.shares(e.Values)
		}
		f.respelled = len(f.names()) > 0 && s.ours(&f) && account.Fold(h.ExternalID) == account.Fold(string(e.ExternalID))
		if len(f.by) > 0 {
			out = append(out, f)
		}
	}
	s.crowd(i, e.Values, out)
	if len(out) == 0 {
		return
	}
	slices.SortFunc(out, func(a, b found) int { return strings.Compare(string(a.ID[:]), string(b.ID[:])) })
	s.holders[i] = out
}

// NewID is the ID of the account an entry would get.
func NewID(organization, connection string, id directory.ExternalID) account.ID {
	return account.NewID(organization, connection, "user", string(id)).Beside(directory.KeyOf(directory.User, id))
}

// Planned gives the ID of the account an entry would get, before Resolve; zero
// where it has one or gets none.
func (s *Survey) Planned(key directory.Digest) account.ID {
	if sl := &s.slots[s.byKey[key]]; sl.how == Not {
		return sl.account
	}
	return account.ID{}
}

// Taken gives the account of an entry another ID: the planned one belongs to an
// account that came from an entry with this external ID and is linked to
// another one by now. The same round of asking gives the same ID.
func (s *Survey) Taken(e *Entry, round int) account.ID {
	id := account.NewID(s.rules.Organization, s.rules.Connection, "user", string(e.ExternalID), strconv.Itoa(round)).Beside(e.Key)
	s.slots[s.byKey[e.Key]].account = id
	return id
}

// Pair gives an entry its place. The caller fills in Account, fetched by the ID
// that AccountOf gives, and Manager.
func (s *Survey) Pair(e *Entry) Pair {
	i := s.byKey[e.Key]
	p := Pair{Entry: *e, How: s.slots[i].how}
	o := s.outcome[i]
	p.Refusal = o.refusal
	switch {
	case p.How == Linked && p.State != Present && s.moved[s.slots[i].account]:
		p.How = Not // its person came back as another entry, which has the account now
	case p.How == Linked:
	case !o.account.IsZero():
		p.How, p.By = Found, o.by
	case e.State == Present:
		p.NewID = s.slots[i].account
	}
	return p
}

// Has reports whether an entry is part of the survey.
func (s *Survey) Has(key directory.Digest) bool {
	_, ok := s.byKey[key]
	return ok
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
	if sl.how == Linked && sl.state != Present && s.moved[sl.account] {
		return t, true // its person came back as another entry, which has the account now
	}
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
			if sl := &s.slots[i]; sl.how == Linked && (sl.state == Gone || sl.state == OutOfScope) && !s.moved[sl.account] {
				s.leaving[sl.account] = true
			}
		}
	}
	return s.leaving[id]
}

// Contested gives the accounts of other connections that entries of this one
// claim and do not get.
func (s *Survey) Contested() []account.ID {
	var out []account.ID
	for _, o := range s.outcome {
		if o.refusal != nil && !o.refusal.Account.IsZero() {
			out = append(out, o.refusal.Account)
		}
	}
	return out
}

// Comes reports whether an entry that is there and in scope in this plan is
// linked to the account, or matched with it.
func (s *Survey) Comes(id account.ID) bool {
	if s.coming == nil {
		s.coming = map[account.ID]bool{}
		for i := range s.slots {
			if s.slots[i].state != Present {
				continue
			}
			if linked, ok := s.AccountOf(s.slots[i].key); ok {
				s.coming[linked] = true
			}
		}
	}
	return s.coming[id]
}
