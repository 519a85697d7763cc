package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/setting"
)

var (
	annaID = account.NewID("anna")
	newID  = account.NewID("new")
	boID   = account.NewID("bo")
	now    = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
)

// anna is the account, user the entry that keeps it as it is.
func anna() *account.Account {
	a := &account.Account{ID: annaID, Organization: "sunfix", Connection: "hq", ExternalID: "A", Status: account.Active, Version: 7}
	a.Text[account.Username], a.Text[account.Email], a.Text[account.FirstName], a.Text[account.LastName] = "anna", "anna@x.org", "Anna", "Ames"
	a.Text[account.Title], a.Text[account.Role], a.Text[account.Location] = "Lead", "employee", "set here"
	return a
}

func user() mapping.User {
	u := mapping.User{Text: anna().Text}
	u.Text[account.Role], u.Text[account.Location] = "", "set there" // no rule gives a role, or manages location
	return u
}

type changeOf func(p *match.Pair, r *Rules)

func pair(changes ...changeOf) (*match.Pair, *Rules) {
	p := &match.Pair{Entry: match.Entry{Key: directory.KeyOf(directory.User, "A"), ExternalID: "A", Name: "cn=anna", User: user()}, How: match.Linked, Account: anna()}
	r := &Rules{Organization: "sunfix", Connection: "hq", Role: "guest", Policy: setting.DefaultPolicy(), Now: now, Reason: "the server stopped",
		Managed: FieldManager | FieldAttributes | Text(account.Username) | Text(account.Email) | Text(account.FirstName) | Text(account.LastName) | Text(account.Title) | Text(account.Role)}
	for _, change := range changes {
		change(p, r)
	}
	return p, r
}

func newcomer(p *match.Pair, _ *Rules) { p.How, p.Account, p.NewID = match.Not, nil, newID }
func found(p *match.Pair, _ *Rules) {
	p.How, p.By = match.Found, "email"
	p.Account.Connection, p.Account.ExternalID = account.Local, ""
}
func state(s match.State) changeOf {
	return func(p *match.Pair, _ *Rules) { p.State, p.Why = s, "the reason" }
}
func title(v string) changeOf {
	return func(p *match.Pair, _ *Rules) { p.User.Text[account.Title] = v }
}
func disabledThere(p *match.Pair, _ *Rules) {
	p.User.Disabled, p.User.StatusWhy = true, "locked"
}
func unclear(p *match.Pair, _ *Rules) { p.User.Unclear = true }
func was(s account.Status, c account.Cause) changeOf {
	return func(p *match.Pair, _ *Rules) { p.Account.Status, p.Account.Cause = s, c }
}
func refusal(kind string) changeOf {
	return func(p *match.Pair, _ *Rules) { p.Refusal = &match.Refusal{Kind: kind, Text: "both sides"} }
}
func secret(p *match.Pair, _ *Rules)     { p.HasSecret = true }
func incomplete(_ *match.Pair, r *Rules) { r.Incomplete = true }
func policy(change func(p *setting.Policy)) changeOf {
	return func(_ *match.Pair, r *Rules) { change(&r.Policy) }
}

var (
	noCreate         = policy(func(p *setting.Policy) { p.NoCreate = true })
	noUpdate         = policy(func(p *setting.Policy) { p.NoUpdate = true })
	noDelete         = policy(func(p *setting.Policy) { p.NoDelete = true })
	deletes          = policy(func(p *setting.Policy) { p.DeleteDisables = false })
	createAsDisabled = policy(func(p *setting.Policy) { p.CreateAsDisabled = true })
	dryRun           = policy(func(p *setting.Policy) { p.DryRun = true })
)

const none = ""

// shown is a decision in a line: the action with its fields and values, what it
// says, and keep or out. Notes follow, a line each.
func shown(d Decision) string {
	var words []string
	if c := d.Change; c != nil {
		words = append(words, string(c.Action))
		if c.Action == Create {
			words = append(words, string(c.After.Status), string(c.After.Cause))
		} else {
			for _, name := range c.Fields.Names() {
				switch f, text := account.FieldNamed(name); {
				case text:
					words = append(words, name+"="+c.After.Text[f])
				case name == "status":
					words = append(words, strings.TrimSuffix("status="+string(c.After.Status)+"/"+string(c.After.Cause), "/"))
				default:
					words = append(words, name)
				}
			}
		}
		if c.Secret {
			words = append(words, "password")
		}
		words = append(words, "because: "+c.Why)
	}
	if d.Keep {
		words = append(words, "keep")
	}
	if d.Out {
		words = append(words, "out")
	}
	for _, n := range d.Notes {
		words = append(words, "\n"+string(n.Kind)+": "+n.Text)
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

func TestTheDecisionTable(t *testing.T) {
	const disabledWhy = "because: disabled in the directory: locked"
	for _, c := range []struct {
		name    string
		changes []changeOf
		want    string
	}{
		{"a newcomer is created", []changeOf{newcomer}, "create active because: new in the directory"},
		{"a newcomer who is disabled there", []changeOf{newcomer, disabledThere}, "create disabled entry because: new in the directory, disabled there: locked"},
		{"a newcomer's password comes with them", []changeOf{newcomer, secret}, "create active password because: new in the directory"},
		{"nothing changed", nil, "keep"},
		{"a value changed", []changeOf{title("Boss")}, "update title=Boss because: changed in the directory"},
		{"a value was taken away there", []changeOf{title("")}, "update title= because: changed in the directory"},
		{"the password changed", []changeOf{secret}, "update password because: changed in the directory; password changed"},
		{"the password changed with a value", []changeOf{secret, title("Boss")}, "update title=Boss password because: changed in the directory; password changed"},
		{"disabled there, and the password changed", []changeOf{secret, disabledThere}, "disable status=disabled/entry password because: disabled in the directory: locked; password changed"},
		{"disabled there", []changeOf{disabledThere}, "disable status=disabled/entry " + disabledWhy},
		{"disabled there, and a value changed", []changeOf{disabledThere, title("Boss")}, "disable title=Boss status=disabled/entry " + disabledWhy},
		{"disabled there, as here", []changeOf{disabledThere, was(account.Disabled, account.ByEntry)}, "keep"},
		{"no longer disabled there", []changeOf{was(account.Disabled, account.ByEntry)}, "enable status=active because: no longer disabled in the directory"},
		{"disabled there, and then by a status nobody knows", []changeOf{was(account.Disabled, account.ByEntry), unclear}, "keep"},
		{"back after having left, with a status nobody knows", []changeOf{was(account.Disabled, account.ByAbsence), unclear}, "enable status=active because: back in the directory"},
		{"back after having left", []changeOf{was(account.Disabled, account.ByAbsence)}, "enable status=active because: back in the directory"},
		{"back, and disabled there", []changeOf{was(account.Disabled, account.ByAbsence), disabledThere}, "update status=disabled/entry because: back in the directory, disabled there: locked"},
		{"back from the deleted", []changeOf{was(account.Deleted, account.ByAbsence)}, "restore status=active because: back in the directory"},
		{"back from the deleted, and disabled there", []changeOf{was(account.Deleted, account.ByAbsence), disabledThere},
			"restore status=disabled/entry because: back in the directory; disabled there: locked"},
		{"found by an attribute", []changeOf{found}, "link connection external_id because: matched by email, taken over from local"},
		{"found by an attribute, with other values", []changeOf{found, title("Boss")}, "link title=Boss connection external_id because: matched by email, taken over from local"},
		{"found by an attribute, among one's own that left", []changeOf{found, func(p *match.Pair, _ *Rules) { p.Account.Connection, p.Account.ExternalID = "hq", "OLD" }, was(account.Disabled, account.ByAbsence)},
			"enable status=active connection external_id because: matched by email; back in the directory"},
		{"found by an attribute, among the deleted", []changeOf{found, was(account.Deleted, account.ByAbsence)},
			"restore status=active connection external_id because: matched by email, taken over from local; back in the directory"},
		{"found by an attribute, and disabled there", []changeOf{found, disabledThere},
			"disable status=disabled/entry connection external_id because: matched by email, taken over from local; disabled in the directory: locked"},
		{"gone", []changeOf{state(match.Gone)}, "disable status=disabled/absence because: no longer in the directory"},
		{"gone, and there never was an account", []changeOf{newcomer, state(match.Gone)}, none},
		{"gone already", []changeOf{state(match.Gone), was(account.Disabled, account.ByAbsence)}, "keep"},
		{"gone, and flagged deleted already", []changeOf{state(match.Gone), was(account.Deleted, account.ByAbsence)}, "keep"},
		{"gone, after having been disabled there", []changeOf{state(match.Gone), was(account.Disabled, account.ByEntry)}, "update status=disabled/absence because: no longer in the directory"},
		{"gone, after an operator had disabled the account: that stays", []changeOf{state(match.Gone), was(account.Disabled, account.ByOperator)}, "keep"},
		{"out of scope", []changeOf{state(match.OutOfScope)}, "disable status=disabled/absence because: out of scope: the reason out"},
		{"out of scope, and there never was an account", []changeOf{newcomer, state(match.OutOfScope)}, "out"},
		{"broken, with an account", []changeOf{state(match.Broken)}, "keep \nproblem: the reason"},
		{"broken, without one", []changeOf{newcomer, state(match.Broken)}, "\nproblem: the reason"},
		{"in a dispute", []changeOf{refusal("dispute"), title("Boss")}, "keep \ndispute: both sides"},
		{"in a dispute without an account", []changeOf{newcomer, refusal("dispute")}, "\ndispute: both sides"},
		{"in an overlap", []changeOf{found, refusal("overlap")}, "\ndispute: both sides"},
		{"a match the rules do not let happen", []changeOf{newcomer, refusal("refused")}, "\nrefused: both sides"},
		{"a dispute comes before being gone", []changeOf{state(match.Gone), refusal("dispute")}, "keep \ndispute: both sides"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := shown(Decide(pair(c.changes...))); got != c.want {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestWhatPolicyForbidsBecomesANote(t *testing.T) {
	both := func(p *match.Pair, _ *Rules) {
		p.User.Text[account.Title], p.User.Text[account.LastName] = "Boss", "Bond"
	}
	for _, c := range []struct {
		name    string
		changes []changeOf
		want    string
	}{
		{"no-create: a newcomer", []changeOf{noCreate, newcomer}, "\nrefused: create: `no-create` is on"},
		{"no-create: everything else goes on", []changeOf{noCreate, title("Boss")}, "update title=Boss because: changed in the directory"},
		{"no-create: who comes back is not created", []changeOf{noCreate, was(account.Deleted, account.ByAbsence)}, "restore status=active because: back in the directory"},
		{"no-update: values", []changeOf{noUpdate, both}, "keep \nrefused: update: last_name, title; `no-update` is on"},
		{"no-update: nothing changed", []changeOf{noUpdate}, "keep"},
		{"no-update: a password", []changeOf{noUpdate, secret}, "keep \nrefused: update: password; `no-update` is on"},
		{"no-update: disabled there", []changeOf{noUpdate, disabledThere}, "keep \nrefused: disable: status; `no-update` is on"},
		{"no-update: no longer disabled there", []changeOf{noUpdate, was(account.Disabled, account.ByEntry)}, "keep \nrefused: enable: status; `no-update` is on"},
		{"no-update: a link", []changeOf{noUpdate, found}, "keep \nrefused: link: connection, external_id; `no-update` is on"},
		{"no-update: who left may come back", []changeOf{noUpdate, was(account.Disabled, account.ByAbsence)}, "enable status=active because: back in the directory"},
		{"no-update: who left may come back, with their values as they were", []changeOf{noUpdate, was(account.Deleted, account.ByAbsence), title("Boss"), secret},
			"restore status=active because: back in the directory \nrefused: restore: title, password; `no-update` is on"},
		{"no-update: who left may come back under a new external ID", []changeOf{noUpdate, found, was(account.Disabled, account.ByAbsence)},
			"enable status=active connection external_id because: matched by email, taken over from local; back in the directory"},
		{"no-update: who left may come back as disabled", []changeOf{noUpdate, was(account.Disabled, account.ByAbsence), disabledThere},
			"update status=disabled/entry because: back in the directory, disabled there: locked"},
		{"no-update: leavers still leave", []changeOf{noUpdate, state(match.Gone)}, "disable status=disabled/absence because: no longer in the directory"},
		{"no-update: newcomers still come", []changeOf{noUpdate, newcomer}, "create active because: new in the directory"},
		{"no-delete: one who is gone", []changeOf{noDelete, state(match.Gone)}, "keep \nrefused: disable: no longer in the directory; `no-delete` is on"},
		{"no-delete: one out of scope", []changeOf{noDelete, deletes, state(match.OutOfScope)}, "keep out \nrefused: delete: out of scope: the reason; `no-delete` is on"},
		{"no-delete: who is disabled there is disabled", []changeOf{noDelete, disabledThere}, "disable status=disabled/entry because: disabled in the directory: locked"},
		{"without delete-disables: one who is gone", []changeOf{deletes, state(match.Gone)}, "delete status=deleted/absence because: no longer in the directory"},
		{"without delete-disables: one out of scope", []changeOf{deletes, state(match.OutOfScope)}, "delete status=deleted/absence because: out of scope: the reason out"},
		{"without delete-disables: one who was only disabled for it", []changeOf{deletes, state(match.Gone), was(account.Disabled, account.ByEntry)}, "delete status=deleted/absence because: no longer in the directory"},
		{"without delete-disables: gone already", []changeOf{deletes, state(match.Gone), was(account.Deleted, account.ByAbsence)}, "keep"},
		{"create-as-disabled: a newcomer", []changeOf{createAsDisabled, newcomer}, "create disabled policy because: new in the directory; `create-as-disabled` is on"},
		{"create-as-disabled: a newcomer disabled there stays so when they no longer are", []changeOf{createAsDisabled, newcomer, disabledThere},
			"create disabled policy because: new in the directory, disabled there: locked; `create-as-disabled` is on"},
		{"create-as-disabled: a later run does not enable it", []changeOf{createAsDisabled, was(account.Disabled, account.ByPolicy)}, "keep"},
		{"create-as-disabled: nor when the switch is off again", []changeOf{was(account.Disabled, account.ByPolicy), title("Boss")}, "update title=Boss because: changed in the directory"},
		{"create-as-disabled: those who are there are left as they are", []changeOf{createAsDisabled}, "keep"},
		{"what an operator disabled is not enabled by a run", []changeOf{was(account.Disabled, account.ByOperator)}, "keep"},
		{"dry-run changes nothing in the plan", []changeOf{dryRun, newcomer}, "create active because: new in the directory"},
		{"a refused match is refused whatever the policy", []changeOf{noCreate, newcomer, refusal("refused")}, "\nrefused: both sides"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := shown(Decide(pair(c.changes...))); got != c.want {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestAnIncompleteReadingTakesNothingAway(t *testing.T) {
	const stopped = "the reading was not complete (the server stopped)"
	manager := func(p *match.Pair, _ *Rules) { p.Account.Manager = boID }
	custom := func(p *match.Pair, _ *Rules) { p.Account.Attributes = `{"badge":"7"}` }
	for _, c := range []struct {
		name    string
		changes []changeOf
		want    string
	}{
		{"one who is gone stays", []changeOf{incomplete, state(match.Gone)}, "keep \nrefused: disable: no longer in the directory, but " + stopped},
		{"and is not deleted", []changeOf{incomplete, deletes, state(match.Gone)}, "keep \nrefused: delete: no longer in the directory, but " + stopped},
		{"one out of scope stays", []changeOf{incomplete, state(match.OutOfScope)}, "keep out \nrefused: disable: out of scope: the reason, but " + stopped},
		{"nobody is disabled", []changeOf{incomplete, disabledThere}, "keep \nrefused: disable: " + stopped},
		{"what else changed of them is taken, without the words of the other", []changeOf{incomplete, disabledThere, title("Boss")},
			"update title=Boss because: changed in the directory \nrefused: disable: " + stopped},
		{"a link stays a link", []changeOf{incomplete, disabledThere, found}, "link connection external_id because: matched by email, taken over from local \nrefused: disable: " + stopped},
		{"a value is not emptied", []changeOf{incomplete, title("")}, "keep \nrefused: update: title would be emptied, but " + stopped},
		{"nor a manager or custom attributes", []changeOf{incomplete, manager, custom}, "keep \nrefused: update: manager, attributes would be emptied, but " + stopped},
		{"another value is taken", []changeOf{incomplete, title("Boss"), manager}, "update title=Boss because: changed in the directory \nrefused: update: manager would be emptied, but " + stopped},
		{"newcomers come", []changeOf{incomplete, newcomer}, "create active because: new in the directory"},
		{"who comes back does", []changeOf{incomplete, was(account.Disabled, account.ByAbsence)}, "enable status=active because: back in the directory"},
		{"nothing changed", []changeOf{incomplete}, "keep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := shown(Decide(pair(c.changes...))); got != c.want {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestACreatedAccountHasEverything(t *testing.T) {
	for _, c := range []struct{ name, given, want string }{{"the connection's role", "", "guest"}, {"the role a rule gives", "boss", "boss"}} {
		t.Run(c.name, func(t *testing.T) {
			p, r := pair(newcomer, func(p *match.Pair, _ *Rules) {
				p.User.Text[account.Role], p.User.Attributes, p.Manager = c.given, `{"badge":"7"}`, boID
			})
			d := Decide(p, r)
			want := &account.Account{ID: newID, Organization: "sunfix", Connection: "hq", ExternalID: "A", Text: p.User.Text, Manager: boID, Status: account.Active, Attributes: `{"badge":"7"}`}
			want.Text[account.Role] = c.want
			got := d.Change
			if got.Target != Account || got.Account != newID || got.Before != nil || got.Version != 0 || got.ExternalID != "A" || got.Key != p.Key || got.Name != "cn=anna" {
				t.Errorf("%+v", got)
			}
			if string(mustJSON(t, got.After)) != string(mustJSON(t, want)) {
				t.Errorf("%s\nwant\n%s", mustJSON(t, got.After), mustJSON(t, want))
			}
		})
	}
}

func TestAChangeHoldsWhatChangesAndNothingElse(t *testing.T) {
	p, r := pair(title("Boss"), disabledThere, func(p *match.Pair, _ *Rules) { p.Manager = boID })
	before := *p.Account
	c := Decide(p, r).Change
	if c.Account != annaID || c.Version != 7 || c.Key != p.Key || c.Fields != Text(account.Title)|FieldManager|FieldStatus {
		t.Errorf("%+v, fields %v", c, c.Fields.Names())
	}
	wantBefore, wantAfter := account.Account{Status: account.Active}, account.Account{Status: account.Disabled, Cause: account.ByEntry, Manager: boID}
	wantBefore.Text[account.Title], wantAfter.Text[account.Title] = "Lead", "Boss"
	if Diff(c.Before, &wantBefore) != 0 || Diff(c.After, &wantAfter) != 0 || c.Before.ID != (account.ID{}) {
		t.Errorf("before %+v\nafter %+v", c.Before, c.After)
	}
	if Diff(p.Account, &before) != 0 {
		t.Error("deciding changed the account")
	}
}

func TestFieldsWithoutARuleAreTheApplicationsOwn(t *testing.T) {
	all := func(p *match.Pair, _ *Rules) {
		for i := range p.User.Text {
			p.User.Text[i] = "there"
		}
		p.User.Attributes, p.Manager = `{"x":"y"}`, boID
	}
	for _, c := range []struct {
		name    string
		managed Fields
		want    string
	}{
		{"no rules at all", 0, "keep"},
		{"two of them", Text(account.Email) | Text(account.Phone), "update email=there phone=there because: changed in the directory"},
		{"the manager", FieldManager, "update manager because: changed in the directory"},
		{"custom attributes", FieldAttributes, "update attributes because: changed in the directory"},
		{"the role", Text(account.Role), "update role=there because: changed in the directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, r := pair(all, func(_ *match.Pair, r *Rules) { r.Managed = c.managed })
			if got := shown(Decide(p, r)); got != c.want {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestARoleGivenHereIsNotTakenAwayByAnEmptyOne(t *testing.T) {
	p, r := pair(func(p *match.Pair, r *Rules) { r.Managed = Text(account.Role); p.User.Text[account.Role] = "" })
	if got := shown(Decide(p, r)); got != "keep" {
		t.Error(got)
	}
}

func TestWhatWasLeftOutIsNoted(t *testing.T) {
	later := now.Add(24 * time.Hour)
	remarks := func(p *match.Pair, _ *Rules) {
		p.User.Warnings, p.Unresolved, p.User.ReviewAt = []string{"phone left out"}, "its manager has no account", later
	}
	const notes = " \nwarning: phone left out \nunresolved: its manager has no account \ndue: its status changes by itself"
	for _, c := range []struct {
		name    string
		changes []changeOf
		want    string
	}{
		{"of a newcomer", []changeOf{newcomer, remarks}, "create active because: new in the directory" + notes},
		{"of a change", []changeOf{title("Boss"), remarks}, "update title=Boss because: changed in the directory" + notes},
		{"of one who stays as they are", []changeOf{remarks}, "keep" + notes},
		{"not of one who is gone", []changeOf{state(match.Gone), remarks}, "disable status=disabled/absence because: no longer in the directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(pair(c.changes...))
			if got := shown(d); got != c.want {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
			for _, n := range d.Notes {
				if n.Name != "cn=anna" || n.ExternalID != "A" || n.Key != directory.KeyOf(directory.User, "A") || (n.Kind == Due) != n.DueAt.Equal(later) {
					t.Errorf("%+v", n)
				}
			}
		})
	}
}

func TestARefusedActionIsNamed(t *testing.T) {
	for _, c := range []struct {
		changes []changeOf
		want    Action
	}{{[]changeOf{noCreate, newcomer}, Create}, {[]changeOf{noDelete, state(match.Gone)}, Disable}, {[]changeOf{noUpdate, title("Boss")}, Update}} {
		d := Decide(pair(c.changes...))
		if len(d.Notes) != 1 || d.Notes[0].Action != c.want {
			t.Errorf("%+v, want %s", d.Notes, c.want)
		}
		if p, _ := pair(c.changes...); p.Account != nil && d.Notes[0].Account != annaID {
			t.Errorf("the note does not name the account: %+v", d.Notes[0])
		}
	}
}

// What was decided once is not decided again: with the change carried out, the
// next plan keeps.
func TestCarriedOutTheNextPlanKeeps(t *testing.T) {
	alone := []changeOf{title("Boss"), title(""), disabledThere, secret, found, state(match.Gone), state(match.OutOfScope), was(account.Disabled, account.ByEntry),
		was(account.Disabled, account.ByAbsence), was(account.Deleted, account.ByAbsence), was(account.Disabled, account.ByPolicy), deletes, noUpdate, noDelete, incomplete, createAsDisabled, newcomer}
	for i, x := range alone[:len(alone)-1] {
		for j, y := range alone { // a newcomer last: what else there is may be about the account
			p, r := pair(x, y)
			c := Decide(p, r).Change
			if c == nil {
				continue
			}
			if c.Action == Create {
				a := *c.After
				p.Account = &a
			} else {
				c.Fields.Overlay(p.Account, c.After)
			}
			p.How, p.HasSecret = match.Linked, p.HasSecret && !c.Secret
			if again := Decide(p, r); again.Change != nil {
				t.Errorf("%d and %d: after %s\nanother %s", i, j, shown(Decision{Change: c}), shown(again))
			}
		}
	}
}
