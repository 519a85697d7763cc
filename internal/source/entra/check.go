package entra

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// doctor goes through the steps of reaching a tenant.
type doctor struct {
	*tenant
	report func(source.Step)
	begun  time.Time
}

// Check tries names and TLS of both hosts, the token and its permissions, people,
// groups, and whether changes can be asked for.
func (t *tenant) Check(ctx context.Context, report func(source.Step)) {
	ctx = rest.Hurry(ctx)
	d := &doctor{tenant: t, report: report, begun: time.Now()}
	for _, address := range []string{t.set.loginURL, t.set.graphURL} {
		if !t.api.Reach(ctx, address, report) {
			return
		}
	}
	d.begun = time.Now()
	// The token may be from before consent was given: the doctor takes a fresh one.
	t.tokens.Rejected(nil)
	if !d.certificate() || !d.token(ctx) || !d.people(ctx) || !d.groups(ctx) {
		return
	}
	d.changes(ctx)
}

func (d *doctor) step(name string, section source.Section, v source.Verdict, detail, hint string) source.Step {
	s := source.Step{Name: name, Section: section, Verdict: v, Detail: detail, Hint: hint, Took: time.Since(d.begun)}
	d.begun = time.Now()
	return s
}

func (d *doctor) say(name string, section source.Section, v source.Verdict, detail, hint string) {
	d.report(d.step(name, section, v, detail, hint))
}

// fail reports an error of ours, without the word that names this package.
func (d *doctor) fail(name string, section source.Section, err error) bool {
	d.say(name, section, source.Fail, strings.TrimPrefix(err.Error(), "entra: "), fault.HintOf(err))
	return false
}

// soon is how long before its end a certificate is worth a warning.
const soon = 30 * 24 * time.Hour

func (d *doctor) certificate() bool {
	if d.set.cert == nil {
		return true
	}
	end := d.set.cert.leaf.NotAfter
	detail := fmt.Sprintf("%s, until %s", d.set.cert.leaf.Subject, end.Format(time.DateOnly))
	switch left := end.Sub(d.now()); {
	case left <= 0:
		d.say("certificate", source.SignIn, source.Fail, detail, "It has expired: upload a new one to the app registration, and set it here.")
		return false
	case left < soon:
		d.say("certificate", source.SignIn, source.Warn, detail, "Upload a new one to the app registration in time, and set it here.")
	default:
		d.say("certificate", source.SignIn, source.OK, detail, "")
	}
	return true
}

func (d *doctor) token(ctx context.Context) bool {
	token, err := d.tokens.Token(ctx)
	if err != nil {
		return d.fail("token", source.SignIn, err)
	}
	d.say("token", source.SignIn, source.OK, fmt.Sprintf("%s gave one for application %s", d.set.loginURL, d.set.clientID), "")
	roles, ok := rolesOf(token.Value)
	lacks := d.missing(roles)
	slices.Sort(roles)
	switch {
	case !ok:
		d.say("permissions", source.SignIn, source.Warn, "The token does not show them.", "")
	case len(lacks) > 0:
		have := "none"
		if len(roles) > 0 {
			have = strings.Join(roles, ", ")
		}
		d.say("permissions", source.SignIn, source.Fail, fmt.Sprintf("%s is missing; there is %s", strings.Join(lacks, " and "), have), fmt.Sprintf(consent, strings.Join(lacks, " and ")))
		return false
	default:
		d.say("permissions", source.SignIn, source.OK, strings.Join(roles, ", "), "")
	}
	return true
}

func (d *doctor) people(ctx context.Context) bool {
	count, guests, disabled := 0, 0, 0
	var names []string
	err := d.everyUser(ctx, "id,userPrincipalName,userType,accountEnabled", nil, func(it item) error {
		if it.guest() && !d.set.guests {
			guests++
			return nil
		}
		if it.simple("accountEnabled") == "false" {
			disabled++
		}
		if count++; len(names) < source.MostNames {
			names = append(names, it.text("userPrincipalName"))
		}
		return nil
	})
	if err != nil {
		return d.fail("people", source.Users, err)
	}
	detail := fmt.Sprintf("%s, of whom %d are disabled", source.Counted(count, "person", "people"), disabled)
	if !d.set.guests {
		detail += fmt.Sprintf("; %s left out", source.Counted(guests, "guest", "guests"))
	}
	verdict, hint := source.OK, ""
	if count == 0 {
		verdict, hint = source.Warn, "Check tenant, and whether it has anybody but guests."
	}
	s := d.step("people", source.Users, verdict, detail, hint).Counted(count, names)
	s.Proposal = &source.Proposal{Vendor: "Microsoft Entra ID", Anchor: "id", GroupName: "displayName", GroupMembers: []string{"members"}, Mapping: mapping()}
	d.report(s)
	return true
}

// mostCounted is up to how many groups' members are counted by a check.
const mostCounted = 25

func (d *doctor) groups(ctx context.Context) bool {
	if d.set.groups.none() {
		if d.set.membersOnly {
			d.report(d.step("groups", source.Groups, source.Fail, nobody, nobodyHint).Counted(0, nil))
		} else {
			d.say("groups", source.Groups, source.Skip, "No group is selected: groups are not read, and everybody is synchronized.", "")
		}
		return true
	}
	var ids, names []string
	total := 0
	missing := map[string]bool{}
	for _, id := range d.set.groups.ids {
		missing[strings.ToLower(id)] = true
	}
	for _, name := range d.set.groups.names {
		missing[name] = true
	}
	err := d.everyGroup(ctx, func(id, name string) {
		total++
		delete(missing, strings.ToLower(id))
		delete(missing, name)
		if d.set.groups.holds(id, name) {
			ids, names = append(ids, id), append(names, name)
		}
	})
	if err != nil {
		return d.fail("groups", source.Groups, err)
	}
	detail := fmt.Sprintf("%d of %s are selected", len(ids), source.Counted(total, "group", "groups"))
	verdict, hint := source.OK, ""
	if len(missing) > 0 {
		gone := make([]string, 0, len(missing))
		for name := range missing {
			gone = append(gone, name)
		}
		slices.Sort(gone)
		verdict, hint = source.Warn, "Check groups.names and groups.ids."
		detail += "; there is no " + strings.Join(gone, ", ")
	}
	if len(ids) == 0 {
		verdict, hint = source.Fail, "The selection matches no group: check groups.include, groups.names and groups.ids."
	}
	if d.set.membersOnly && len(ids) > 0 && len(ids) <= mostCounted {
		people := map[string]bool{}
		for _, id := range ids {
			members, groups, err := d.membersOf(ctx, id)
			if err != nil {
				return d.fail("groups", source.Groups, err)
			}
			for _, m := range members {
				if !slices.Contains(groups, m) {
					people[m] = true
				}
			}
		}
		detail += fmt.Sprintf(", with %s in them directly", source.Counted(len(people), "person", "people"))
	}
	d.report(d.step("groups", source.Groups, verdict, detail, hint).Counted(len(ids), names))
	return true
}

// changes asks for a mark of now, which costs one request (delta-query-overview).
func (d *doctor) changes(ctx context.Context) {
	_, err := d.round(ctx, query("/v1.0/users/delta", "$select", "id", "$deltatoken", "latest"), forUsers, func([]item) error { return nil })
	if err != nil {
		d.fail("changes", source.Changes, err)
		return
	}
	d.say("changes", source.Changes, source.OK, fmt.Sprintf("by delta queries; all IDs every %s, everything every %s", d.set.sweepEvery, d.set.fullEvery), "")
}
