package okta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// mostPages is how many pages of people a check goes through.
const mostPages = 10

// doctor goes through the steps of reaching an organization.
type doctor struct {
	*org
	ctx    context.Context
	report func(source.Step)
}

// Check goes from the address to the people and groups, one permission after the other.
func (o *org) Check(ctx context.Context, report func(source.Step)) {
	ctx = rest.Hurry(ctx)
	d := &doctor{org: o, ctx: ctx, report: report}
	if !o.api.client.Reach(ctx, o.set.root, report) || !d.signIn() {
		return
	}
	listed := d.groups()
	if o.set.people == peopleApp && !d.app() {
		return
	}
	if d.people(listed) {
		d.changes()
	}
}

func (d *doctor) passed(name string, section source.Section, start time.Time, format string, args ...any) source.Step {
	return source.Step{Name: name, Section: section, Verdict: source.OK, Detail: fmt.Sprintf(format, args...), Took: d.api.clock.Now().Sub(start)}
}

func (d *doctor) failed(name string, section source.Section, start time.Time, err error) {
	d.report(source.Step{Name: name, Section: section, Verdict: source.Fail, Detail: err.Error(), Hint: fault.HintOf(err), Took: d.api.clock.Now().Sub(start)})
}

// signIn gets a token, or shows the one there is to the list of people.
func (d *doctor) signIn() bool {
	start := d.api.clock.Now()
	var err error
	if d.api.signs != nil {
		_, err = d.api.signs.tokens.Token(d.ctx)
	} else {
		_, err = d.api.get(d.ctx, users, "/api/v1/users?limit=1", nil)
	}
	var refused *rest.Error
	if err != nil && (!errors.As(err, &refused) || refused.Status == 0 || refused.Status == http.StatusNotFound || refused.Status >= 500 || refused.Status == http.StatusTooManyRequests) {
		if refused != nil && refused.Status == http.StatusNotFound {
			err = fault.New(fault.NotFound, "%w", err).WithHint("is %s the address of an Okta organization?", d.set.root)
		} else if refused != nil && refused.Status == 0 && fault.HintOf(err) == "" {
			err = fault.New(fault.Unavailable, "%w", err).WithHint("check the name in url, and that a firewall lets us through to it")
		}
		d.failed("address", source.Address, start, err)
		return false
	}
	d.report(d.passed("address", source.Address, start, "%s answers", d.set.root))
	if d.api.signs == nil {
		return d.signedByToken(start, err, refused)
	}
	if err != nil {
		d.failed("client", source.SignIn, start, err)
		return false
	}
	how := "a bearer token"
	if d.api.signs.proves() {
		how = "a token with proof of possession (DPoP), which this organization demands"
	}
	d.report(d.passed("client", source.SignIn, start, "Okta gave the client %s %s for %s", d.set.clientID, how, strings.Join(d.set.scopes(), ", ")))
	return true
}

// signedByToken warns of what ends a token: Okta tells nobody when that is.
func (d *doctor) signedByToken(start time.Time, err error, refused *rest.Error) bool {
	if err != nil && (refused == nil || refused.Status != http.StatusForbidden) {
		d.failed("token", source.SignIn, start, err)
		return false
	}
	// One that is known and may not read people fails the step of those.
	step := d.passed("token", source.SignIn, start, "Okta knows the token. It lapses after 30 days without use, and with the account of the administrator who made it; Okta does not tell when")
	step.Verdict, step.Hint = source.Warn, "let the connection run at least once a week (people are told a week before the token lapses), or use a client (client_id and key), which does not lapse"
	d.report(step)
	return true
}

// groups shows which groups are selected.
func (d *doctor) groups() []*entry {
	start := d.api.clock.Now()
	if !d.set.selects() {
		step := source.Step{Name: "groups", Section: source.Groups, Verdict: source.Skip, Detail: "no groups are selected, so that none are read"}
		if d.set.people == peopleGroups {
			step.Verdict, step.Detail = source.Fail, "people is groups, and no group is selected: nobody is read"
			step.Hint = "set groups.names, groups.include or groups.ids"
		}
		d.report(step)
		return nil
	}
	p := &pass{set: d.set, api: d.api, ctx: d.ctx, refs: map[string]string{}}
	found, err := p.selected()
	if err != nil {
		d.failed("groups", source.Groups, start, err)
		return nil
	}
	names := make([]string, len(found))
	for i, g := range found {
		names[i] = g.text("name")
	}
	step := d.passed("groups", source.Groups, start, "%s", count(len(found), "group")).Counted(len(found), names)
	if len(p.reasons) > 0 {
		step.Verdict, step.Detail = source.Warn, step.Detail+"\n"+strings.Join(p.reasons, "\n")
		step.Hint = "until that is mended no reading is complete, and nobody is taken for gone"
	}
	if len(found) > 0 {
		err := d.first(members, membersRef(found[0].id, 1))
		if err != nil {
			d.failed("members", source.Groups, start, err)
			return nil
		}
	}
	d.report(step)
	return found
}

// first looks at the first page of a list.
func (d *doctor) first(f family, ref string) error {
	err := d.api.pages(d.ctx, f, ref, func([]json.RawMessage, http.Header) error { return errEnough })
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

var errEnough = errors.New("enough")

func (d *doctor) app() bool {
	start := d.api.clock.Now()
	p := &pass{set: d.set, api: d.api, ctx: d.ctx}
	assigned, err := p.assigned()
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = fault.New(fault.NotFound, "%w", err).WithHint("app must be the ID of an application, as its page's address in Okta shows it (0oa…)")
		}
		d.failed("application", source.Users, start, err)
		return false
	}
	step := d.passed("application", source.Users, start, "it is assigned to %s", count(len(assigned), "person"))
	if len(assigned) == 0 {
		step.Verdict, step.Hint = source.Warn, "assign people or groups to the application in Okta"
	}
	d.report(step)
	return true
}

// people counts who is read, as far as a few pages go.
func (d *doctor) people(selected []*entry) bool {
	start := d.api.clock.Now()
	if d.set.people == peopleGroups && len(selected) == 0 {
		return false // said already
	}
	pages, n, ended := 0, 0, true
	var names []string
	statuses := map[string]int{}
	look := func(page []json.RawMessage, _ http.Header) error {
		for _, raw := range page {
			e, err := parse(raw)
			if err != nil {
				return err
			}
			if _, err := d.set.ref(e); err != nil {
				return err
			}
			if n++; len(names) < source.MostNames {
				names = append(names, e.text("login"))
			}
			statuses[e.status]++
		}
		if pages++; pages >= mostPages {
			ended = false
			return errEnough
		}
		return nil
	}
	f, ref := users, d.set.usersRef("", "")
	if d.set.people == peopleGroups {
		f, ref = members, membersRef(selected[0].id, d.set.pageSize)
	}
	if err := d.api.pages(d.ctx, f, ref, look); err != nil && !errors.Is(err, errEnough) {
		d.failed("people", source.Users, start, err)
		return false
	}
	detail := count(n, "person")
	if !ended {
		detail = "more than " + detail
	}
	if d.set.people == peopleGroups {
		detail += " in the group " + selected[0].text("name")
	} else if d.set.people == peopleApp {
		detail += " in the organization, of whom those assigned are read"
	}
	step := d.passed("people", source.Users, start, "%s", detail).Counted(n, names)
	for status := range statuses {
		if !known[status] {
			step.Verdict = source.Warn
			step.Detail += fmt.Sprintf("\nthe status %.40q is not known here; such people count as active", status)
			step.Hint = "say in the mapping of status what it means"
		}
	}
	if n == 0 {
		step.Verdict, step.Hint = source.Warn, "may the role of the app or administrator see people? A role over a part of the organization limits silently what is listed"
	}
	step.Proposal = &source.Proposal{Vendor: "Okta", Anchor: "id", Mapping: d.preset().Mapping}
	d.report(step)
	return true
}

// known are the statuses of Okta's description, and one that its text speaks of.
var known = map[string]bool{"ACTIVE": true, deprovisioned: true, "LOCKED_OUT": true, "PASSWORD_EXPIRED": true, "PROVISIONED": true,
	"RECOVERY": true, "STAGED": true, "SUSPENDED": true, "ACTIVATING": true, "": true}

// changes tries the question for changes, and tells the rate limits met.
func (d *doctor) changes() {
	start := d.api.clock.Now()
	if err := d.first(users, d.set.usersRef(`lastUpdated gt "`+stamp(start)+`"`, "")); err != nil {
		d.failed("changes", source.Changes, start, err)
		return
	}
	step := d.passed("changes", source.Changes, start, "changes are found by lastUpdated; everybody is named every %s, since Okta does not say who was deleted", d.set.sweepEvery)
	for _, f := range []family{users, groups, members, apps} {
		if limit := d.api.quota.limit(f); limit > 0 {
			step.Detail += fmt.Sprintf("\nrate limit of %s: %d, of which %d%% may be used up", f, limit, d.set.share)
		}
	}
	d.report(step)
}

func count(n int, what string) string {
	if n != 1 {
		if what == "person" {
			what = "people"
		} else {
			what += "s"
		}
	}
	return fmt.Sprintf("%d %s", n, what)
}
