package entra

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

var guid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// named looks for people by id, userPrincipalName, mail or displayName.
func (t *tenant) named(ctx context.Context, w wish, who string, each func(item) error) error {
	quoted := "'" + strings.ReplaceAll(who, "'", "''") + "'"
	var clauses []string
	for _, p := range []string{"userPrincipalName", "mail", "displayName"} {
		clauses = append(clauses, p+" eq "+quoted)
	}
	if guid.MatchString(who) {
		clauses = []string{"id eq " + quoted} // anything else Graph refuses as an id
	}
	ref := query("/v1.0/users", append([]string{"$select", w.selectUser(), "$filter", strings.Join(clauses, " or ")}, w.expand()...)...)
	return t.list(ctx, ref, forUsers, func(items []item) error {
		for _, it := range items {
			if err := each(it); err != nil {
				return err
			}
		}
		return nil
	})
}

// Look implements source.Looker.
func (t *tenant) Look(ctx context.Context, who string, attributes []string, emit func(*directory.Record) error) error {
	w := t.set.wishFor(attributes)
	return t.named(ctx, w, who, func(it item) error {
		if it.guest() && !t.set.guests {
			return nil
		}
		return emit(it.user(w, it.manager))
	})
}

// Find implements source.Finder.
func (t *tenant) Find(ctx context.Context, who string) ([]source.Found, error) {
	var out []source.Found
	err := t.named(ctx, t.set.wishFor([]string{}), who, func(it item) error {
		f := source.Found{Name: it.text("userPrincipalName")}
		clause := source.Clause{Name: "guests", Holds: true, Detail: "not a guest"}
		if it.guest() {
			clause.Holds = t.set.guests
			clause.Detail = fmt.Sprintf("a guest (userType %s), and guests are read", it.text("userType"))
			if !clause.Holds {
				clause.Detail = "a guest, and guests are not read (guests: exclude)"
			}
		}
		f.Clauses = append(f.Clauses, clause)
		if t.set.groups.none() && t.set.membersOnly {
			f.Clauses = append(f.Clauses, source.Clause{Name: "groups", Detail: nobody})
		}
		out = append(out, f)
		return nil
	})
	return out, err
}

var (
	_ source.Looker = (*tenant)(nil)
	_ source.Finder = (*tenant)(nil)
)
