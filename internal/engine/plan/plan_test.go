package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
)

func TestWhatASummaryCounts(t *testing.T) {
	active, disabled := &account.Account{Status: account.Active}, &account.Account{Status: account.Disabled}
	status := func(a Action, before, after *account.Account) Change {
		return Change{Action: a, Target: Account, Fields: FieldStatus, Before: before, After: after}
	}
	for _, c := range []struct {
		name string
		c    Change
		want Summary
	}{
		{"a created account takes a seat", Change{Action: Create, Target: Account, After: active}, Summary{Counts: Counts{Create: 1}, Seats: 1}},
		{"one created as disabled takes none", Change{Action: Create, Target: Account, After: disabled}, Summary{Counts: Counts{Create: 1}}},
		{"an update takes none", Change{Action: Update, Target: Account, Fields: Text(account.Title), Before: &account.Account{}, After: &account.Account{}}, Summary{Counts: Counts{Update: 1}}},
		{"another username is a change of identity", Change{Action: Update, Target: Account, Fields: Text(account.Username) | Text(account.Title), Before: active, After: active}, Summary{Counts: Counts{Update: 1}, Identity: 1}},
		{"another e-mail is a change of identity", Change{Action: Link, Target: Account, Fields: Text(account.Email) | FieldLink, Before: active, After: active}, Summary{Counts: Counts{Link: 1}, Identity: 1}},
		{"both are one", Change{Action: Update, Target: Account, Fields: Text(account.Email) | Text(account.Username), Before: active, After: active}, Summary{Counts: Counts{Update: 1}, Identity: 1}},
		{"a disabled account frees its seat", status(Disable, active, disabled), Summary{Counts: Counts{Disable: 1}, Seats: -1}},
		{"an enabled one takes it again", status(Enable, disabled, active), Summary{Counts: Counts{Enable: 1}, Seats: 1}},
		{"a deleted one frees its seat", status(Delete, active, &account.Account{Status: account.Deleted}), Summary{Counts: Counts{Delete: 1}, Seats: -1}},
		{"one deleted that was disabled had none", status(Delete, disabled, &account.Account{Status: account.Deleted}), Summary{Counts: Counts{Delete: 1}}},
		{"a restored one takes a seat", status(Restore, &account.Account{Status: account.Deleted}, active), Summary{Counts: Counts{Restore: 1}, Seats: 1}},
		{"another cause alone is no seat", status(Update, disabled, disabled), Summary{Counts: Counts{Update: 1}}},
		{"groups stand apart", Change{Action: Create, Target: Group}, Summary{Groups: Counts{Create: 1}}},
		{"a deleted group", Change{Action: Delete, Target: Group}, Summary{Groups: Counts{Delete: 1}}},
		{"memberships are counted one by one", Change{Action: Add, Target: Membership, Members: make([]account.ID, 3)}, Summary{Add: 3}},
		{"also those that go", Change{Action: Remove, Target: Membership, Members: make([]account.ID, 2)}, Summary{Remove: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got Summary
			got.Count(&c.c)
			if got != c.want {
				t.Errorf("%+v\nwant\n%+v", got, c.want)
			}
			if got.Changes() != int(c.c.Rows()) {
				t.Errorf("%d changes, %d rows", got.Changes(), c.c.Rows())
			}
			got.SeatsNeeded = got.Seats
			got.Uncount(&c.c)
			if got != (Summary{}) {
				t.Errorf("excluded again, there is left: %+v", got)
			}
		})
	}
}

func TestNotesAreCountedByKind(t *testing.T) {
	var got Summary
	for _, k := range []NoteKind{Refused, Problem, Dispute, Warning, Unresolved, Due, Failed, Excluded} {
		got.Note(&Note{Kind: k})
	}
	if want := (Summary{Refused: 1, Problems: 1, Disputes: 1, Warnings: 2, Failed: 1}); got != want {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
	if got.Changes() != 0 {
		t.Error("a note counts as a change")
	}
}

func TestTheJSONFormOfASummaryIsTheContract(t *testing.T) {
	var got map[string]any
	if err := json.Unmarshal(mustJSON(t, Summary{Counts: Counts{Create: 1, Keep: 2}, SeatsNeeded: 3}), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Fields("create update link disable enable delete restore keep add remove refused problems disputes seats_needed groups") {
		if _, ok := got[key]; !ok {
			t.Errorf("%s is missing: %v", key, got)
		}
	}
	if got["create"] != 1.0 || got["keep"] != 2.0 || got["seats_needed"] != 3.0 {
		t.Errorf("%v", got)
	}
}

func TestWhoIsTakenAway(t *testing.T) {
	for _, c := range []struct {
		c    Change
		want bool
	}{{Change{Target: Account, Action: Disable}, true}, {Change{Target: Account, Action: Delete}, true}, {Change{Target: Account, Action: Update}, false}, {Change{Target: Group, Action: Delete}, false}} {
		if got := c.c.Removes(); got != c.want {
			t.Errorf("%s %s: %v", c.c.Action, c.c.Target, got)
		}
	}
}

func TestRowsAsPeopleSeeThem(t *testing.T) {
	list := changes()
	for i := range list {
		list[i].Seq = int64(10 * (i + 1))
	}
	g, a := account.NewID("g").String(), annaID.String()
	for _, c := range []struct {
		name string
		c    Change
		want []string
	}{
		{"a created account is shown whole", list[1], []string{`{"seq":20,"action":"create","target":"account","account":"` + boID.String() + `","group":null,"external_id":"B","name":"cn=bo","before":null,"after":` +
			string(mustJSON(t, list[1].After)) + `,"why":"new"}`}},
		{"a change shows what changes", list[5], []string{`{"seq":60,"action":"disable","target":"account","account":"` + a + `","group":null,"external_id":null,"name":"","before":{"status":"active"},"after":{"status":"disabled"},"why":""}`}},
		{"a password shows nothing", list[4], []string{`{"seq":50,"action":"update","target":"account","account":"` + a + `","group":null,"external_id":null,"name":"","before":{},"after":{},"why":"a password alone"}`}},
		{"a group", list[7], []string{`{"seq":80,"action":"update","target":"group","account":null,"group":"` + g + `","external_id":null,"name":"","before":{"name":"Größe"},"after":{"name":"Size"},"why":""}`}},
		{"a group that goes", list[8], []string{`{"seq":90,"action":"delete","target":"group","account":null,"group":"` + g + `","external_id":null,"name":"","before":{"name":"Size"},"after":null,"why":""}`}},
		{"memberships are a row each", list[9], []string{
			`{"seq":100,"action":"add","target":"membership","account":"` + a + `","group":"` + g + `","external_id":null,"name":"cn=g","before":null,"after":null,"why":""}`,
			`{"seq":101,"action":"add","target":"membership","account":"` + boID.String() + `","group":"` + g + `","external_id":null,"name":"cn=g","before":null,"after":null,"why":""}`,
			`{"seq":102,"action":"add","target":"membership","account":"` + newID.String() + `","group":"` + g + `","external_id":null,"name":"cn=g","before":null,"after":null,"why":""}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			if err := c.c.Each(func(r Row) error { got = append(got, string(mustJSON(t, r))); return nil }); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
	stop := fmt.Errorf("enough")
	if err := list[9].Each(func(Row) error { return stop }); err != stop { //nolint:errorlint // handed through as it is
		t.Errorf("%v", err)
	}
}

func TestRowNumbers(t *testing.T) {
	got, err := RowNumbers([]string{"3", " 7", "10-12"})
	if err != nil || len(got) != 5 || got[4] != 12 {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"", "0", "x", "3-", "-3", "5-4", "1-99999999999"} {
		if _, err := RowNumbers([]string{bad}); err == nil {
			t.Errorf("%q is a row number", bad)
		}
	}
}
