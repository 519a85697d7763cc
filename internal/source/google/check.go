package google

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// mostPages is how many pages of people a check goes through.
const mostPages = 10

// doctor goes through the steps of reaching a directory.
type doctor struct {
	*workspace
	ctx    context.Context
	report func(source.Step)
}

// Check tries names and TLS of both hosts, the key, the token, and then organizational
// units, people and groups, each by itself, so that all that is missing is named at once.
func (w *workspace) Check(ctx context.Context, report func(source.Step)) {
	ctx = rest.Hurry(ctx)
	d := &doctor{workspace: w, ctx: ctx, report: report}
	for _, address := range []string{w.set.tokenURL, w.set.url} {
		if !w.api.Reach(ctx, address, report) {
			return
		}
	}
	d.say("key", source.SignIn, source.OK, fmt.Sprintf("%s, key %s, client ID %s", w.set.key.email, w.set.key.id, w.set.key.clientID), "")
	// The token may be from before it was allowed: the doctor takes a fresh one.
	w.tokens.Rejected(nil)
	if _, err := w.tokens.Token(ctx); err != nil {
		_ = d.fail("token", source.SignIn, err) // said
		return
	}
	d.say("token", source.SignIn, source.OK, fmt.Sprintf("Google gave one to act for %s, with %s", w.set.subject, strings.Join(w.set.scopes(), ", ")), "")
	var units []string
	for _, step := range []func() error{
		func() (err error) { units, err = d.orgUnits(); return err },
		func() error { return d.people(units) },
		d.groups,
	} {
		// A missing permission is no reason not to look for the next one that is missing.
		if err := step(); err != nil && fault.KindOf(err) != fault.Denied {
			return
		}
	}
	d.say("changes", source.Changes, source.OK, "Google has no call for changes: each run reads everything", "")
}

func (d *doctor) step(name string, section source.Section, v source.Verdict, detail, hint string) source.Step {
	return source.Step{Name: name, Section: section, Verdict: v, Detail: detail, Hint: hint}
}

func (d *doctor) say(name string, section source.Section, v source.Verdict, detail, hint string) {
	d.report(d.step(name, section, v, detail, hint))
}

// fail reports an error of ours, without the word that names this package.
func (d *doctor) fail(name string, section source.Section, err error) error {
	d.say(name, section, source.Fail, strings.TrimPrefix(err.Error(), "google: "), fault.HintOf(err))
	return err
}

func (d *doctor) orgUnits() (paths []string, err error) {
	if len(d.set.orgUnits) == 0 {
		d.say("organizational units", source.Base, source.OK, "people of all organizational units are read", "")
		return nil, nil
	}
	paths, absent, err := d.unitPaths(d.ctx)
	switch {
	case err != nil:
		return nil, d.fail("organizational units", source.Base, err)
	case len(absent) > 0:
		d.say("organizational units", source.Base, source.Fail, "there is no "+strings.Join(absent, ", "), "Correct org_units: until then no reading is complete, and nobody is taken for gone.")
	default:
		d.say("organizational units", source.Base, source.OK, strings.Join(d.set.orgUnits, ", "), "")
	}
	return paths, nil
}

// people counts who is listed, as far as a few pages go.
func (d *doctor) people(units []string) error {
	pages, listed, read, disabled, more := 0, 0, 0, 0, false
	var names []string
	err := d.users(d.ctx, wishFor([]string{}), func(entries []json.RawMessage) error {
		if pages++; pages > mostPages {
			more = true
			return errEnough
		}
		for _, raw := range entries {
			u, err := parseUser(raw)
			if err != nil {
				return err
			}
			if listed++; !within(units, u.unit) {
				continue
			}
			if read++; len(names) < source.MostNames {
				names = append(names, u.email)
			}
			if u.fields["suspended"] == true || u.fields["archived"] == true {
				disabled++
			}
		}
		return nil
	})
	if err != nil {
		return d.fail("people", source.Users, err)
	}
	detail := fmt.Sprintf("%s, of whom %d are suspended or archived", source.Counted(read, "person", "people"), disabled)
	if more {
		detail = "more than " + detail
	}
	if d.set.people == peopleGroups {
		detail += "; of them, those in the selected groups are read"
	}
	verdict, hint := source.OK, ""
	if read == 0 {
		verdict, hint = source.Warn, "Check customer, domain and org_units."
	}
	s := d.step("people", source.Users, verdict, detail, hint).Counted(read, names)
	s.Proposal = &source.Proposal{Vendor: vendor, Anchor: "id", GroupName: "name", GroupMembers: []string{"members"}, Mapping: mapping()}
	d.report(s)
	return nil
}

func (d *doctor) groups() error {
	if d.set.groups.none() {
		if d.set.people == peopleGroups {
			d.report(d.step("groups", source.Groups, source.Fail, nobody, nobodyHint).Counted(0, nil))
			return nil
		}
		d.say("groups", source.Groups, source.Skip, "no group is selected, so that none is read", "")
		return nil
	}
	all, roots, absent, err := d.selected(d.ctx)
	if err != nil {
		return d.fail("groups", source.Groups, err)
	}
	var names []string
	for _, g := range roots {
		names = append(names, g.Name)
	}
	verdict, hint := source.OK, ""
	detail := fmt.Sprintf("%d of %s are selected", len(roots), source.Counted(len(all), "group", "groups"))
	if len(absent) > 0 {
		verdict, detail, hint = source.Warn, detail+"\n"+strings.Join(absent, "\n"), "Until that is mended no reading is complete, and nobody is taken for gone."
	}
	if len(roots) > 0 {
		if err := d.membersOf(d.ctx, roots[0].ID, 1, func(member) error { return errEnough }); err != nil {
			return d.fail("members", source.Groups, err)
		}
	}
	d.report(d.step("groups", source.Groups, verdict, detail, hint).Counted(len(roots), names))
	return nil
}
