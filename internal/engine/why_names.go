package engine

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// mostNamed is how many entries are shown of those that one word names.
const mostNamed = 5

// loginAttributes are what directories call people by, however they are mapped. In
// proxyAddresses the kind of address stands before it.
var loginAttributes = []string{
	"uid", "sAMAccountName", "userPrincipalName", "cn", "displayName", "mail", "proxyAddresses", "otherMails", "mailNickname",
	"mailAlternateAddress", "mailLocalAddress", "rfc822Mailbox", "primaryEmail", "aliases", "login", "email", "emails",
	"emails.work", "emails.home", "emails.other", "secondEmail", "userName", "externalId",
}

// references are attributes that name somebody else, whatever rule reads them.
var references = []string{"manager", "managerId", "secretary", "assistant", "owner", "seeAlso", "member", "memberOf", "directReports"}

// nameFields are the fields of an account that name its person.
var nameFields = []account.Field{account.Username, account.Email, account.FirstName, account.LastName, account.DisplayName}

// naming knows which values of a record name its person.
type naming struct {
	word       string // folded
	attributes map[string]bool
	mapping    *mapping.Mapping // nil where no rules are known
	now        time.Time
}

// naming goes by the rules of the newest plan, which made the accounts there are: for
// them the directory need not be asked.
func (e *Engine) naming(ctx context.Context, c setting.Connection, who string) (*naming, error) {
	n := &naming{word: account.Fold(who), attributes: map[string]bool{}, now: e.now()}
	for _, name := range loginAttributes {
		n.attributes[strings.ToLower(name)] = true
	}
	state, err := e.Store.Leases().State(ctx, c.Alias)
	if err != nil {
		return nil, err
	}
	rules := c.Mapping
	if len(state.Mapping) > 0 {
		rules = nil
		if json.Unmarshal(state.Mapping, &rules) != nil {
			return n, nil
		}
	}
	m, err := mapping.Compile(rules, mapping.Options{Region: c.Region, Identifying: []string{account.DisplayName.String()}})
	if err != nil {
		return n, nil //nolint:nilerr // the attributes everybody has are looked at all the same
	}
	n.mapping = m
	for _, field := range nameFields {
		for _, name := range m.Sources(field.String()) {
			if !slices.ContainsFunc(references, func(r string) bool { return strings.EqualFold(r, name) }) {
				n.attributes[strings.ToLower(name)] = true
			}
		}
	}
	return n, nil
}

// names reports whether the word names the person of a record: as the directory has
// it, or as the rules make it.
func (n *naming) names(r *directory.Record) bool {
	if account.Fold(r.Name) == n.word {
		return true
	}
	for i := range r.Attributes {
		if !n.attributes[strings.ToLower(r.Attributes[i].Name)] {
			continue
		}
		for _, v := range r.Attributes[i].Values {
			if v = account.Fold(v); v == n.word || strings.TrimPrefix(v, "smtp:") == n.word {
				return true
			}
		}
	}
	if n.mapping == nil {
		return false
	}
	u := n.mapping.Identity(r, n.now)
	for _, text := range []string{u.Text[account.Username], u.Text[account.Email], u.Text[account.DisplayName], u.Text[account.FirstName] + " " + u.Text[account.LastName]} {
		if account.Fold(text) == n.word {
			return true
		}
	}
	return false
}

// dn is what begins a distinguished name, and neither a name nor an e-mail address.
var dn = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)\s*=`)

// named are the entries that a word names: at the most mostNamed, of all there are.
// Those that are there come first.
type named struct {
	rows   []mirror.Row
	all    int
	former bool // none is called so now, and they were before
}

// entriesNamed gives the entries of the mirror that a word names.
func (e *Engine) entriesNamed(ctx context.Context, c setting.Connection, kind source.Kind, who string) ([]mirror.Row, error) {
	found, err := e.named(ctx, c, kind, who)
	return found.rows, err
}

// named looks where an index leads to somebody. Only where that finds nobody who is
// there does it go through everybody, and at last through what people were called.
func (e *Engine) named(ctx context.Context, c setting.Connection, kind source.Kind, who string) (named, error) {
	who = strings.TrimSpace(who)
	if who == "" {
		return named{}, nil
	}
	l := lookup{e: e, ctx: ctx, c: c, who: who, refs: kind.Refs(who), seen: map[directory.Digest]bool{}}
	if sure, err := l.exact(); sure || err != nil {
		return l.named(), err
	}
	if !dn.MatchString(who) {
		if err := l.scan(); err != nil {
			return named{}, err
		}
	}
	if len(l.seen) == 0 {
		if err := l.formerly(); err != nil {
			return named{}, err
		}
	}
	return l.named(), nil
}

type lookup struct {
	e           *Engine
	ctx         context.Context
	c           setting.Connection
	who         string
	refs        []directory.Digest
	seen        map[directory.Digest]bool
	there, gone []mirror.Row
	former      bool
}

func (l *lookup) named() named {
	rows := append(l.there, l.gone...)
	return named{rows: rows[:min(len(rows), mostNamed)], all: len(l.seen), former: l.former}
}

// take counts rows, and keeps as many as are shown.
func (l *lookup) take(rows ...mirror.Row) {
	for i := range rows {
		if rows[i].Kind != directory.User || l.seen[rows[i].Key] {
			continue
		}
		l.seen[rows[i].Key] = true
		to := &l.there
		if rows[i].Gone {
			to = &l.gone
		}
		if len(*to) < mostNamed {
			*to = append(*to, rows[i])
		}
	}
}

func (l *lookup) keys(keys []directory.Digest) error {
	if len(keys) == 0 {
		return nil
	}
	rows, err := l.e.Store.Mirror().Rows(l.ctx, l.c.Alias, keys)
	l.take(rows...)
	return err
}

// exact follows what one entry alone can have (DN, external ID, its account's ID), and
// the names of accounts. A name that only somebody has who is gone may be another one's
// by now, whom no account was made for yet: that is not sure.
func (l *lookup) exact() (sure bool, err error) {
	accounts := l.e.Store.Accounts()
	var keys []directory.Digest
	for _, ref := range l.refs {
		if keys, err = accounts.Entries(l.ctx, l.c.Alias, ref); err != nil || len(keys) > 0 {
			break
		}
	}
	if err != nil {
		return false, err
	}
	if len(keys) == 0 || !dn.MatchString(l.who) {
		keys = append(keys, directory.KeyOf(directory.User, directory.ExternalID(l.who)))
		if id, err := account.ParseID(l.who); err == nil {
			by, err := accounts.Fetch(l.ctx, []account.ID{id})
			if err != nil {
				return false, err
			}
			if a := by[id]; a != nil && a.Connection == l.c.Alias {
				keys = append(keys, directory.KeyOf(directory.User, directory.ExternalID(a.ExternalID)))
			}
		}
	}
	if err := l.keys(keys); err != nil || len(l.seen) > 0 && dn.MatchString(l.who) {
		return true, err
	}
	sure = len(l.seen) > 0
	word := []string{account.Fold(l.who)}
	holders, err := accounts.Holders(l.ctx, l.c.Organization, word, word, nil)
	if err != nil {
		return false, err
	}
	keys = keys[:0]
	for i := range holders {
		if holders[i].Connection == l.c.Alias {
			keys = append(keys, holders[i].Key)
		}
	}
	err = l.keys(keys)
	return sure || len(l.there) > 0, err
}

// scan goes through everybody in the mirror, and through the names of accounts.
func (l *lookup) scan() error {
	n, err := l.e.naming(l.ctx, l.c, l.who)
	if err != nil {
		return err
	}
	var d directory.Decoder
	err = l.e.Store.Mirror().Each(l.ctx, Selection{Connection: l.c.Alias, All: true, Batch: batchSize}, directory.User, func(rows []mirror.Row) error {
		for i := range rows {
			var r directory.Record
			if err := d.Decode(rows[i].Record, &r); err != nil {
				return err
			}
			if n.names(&r) {
				l.take(rows[i])
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Not every name of an account follows from its entry.
	keys, err := l.e.Store.Accounts().Called(l.ctx, l.c.Alias, l.who)
	if err != nil {
		return err
	}
	return l.keys(keys)
}

// formerly looks for who was called so.
func (l *lookup) formerly() error {
	keys, err := l.e.Store.Accounts().Formerly(l.ctx, l.c.Alias, l.who)
	if err != nil {
		return err
	}
	err = l.e.Store.Mirror().Former(l.ctx, l.c.Alias, func(ref directory.Digest, _ int64, key directory.Digest) {
		if slices.Contains(l.refs, ref) {
			keys = append(keys, key)
		}
	})
	if err != nil {
		return err
	}
	l.former = true
	return l.keys(keys)
}
