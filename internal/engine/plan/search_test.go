package plan

import (
	"testing"

	"rollcall.dev/rollcall/internal/account"
)

func TestOfManyChangesThoseAreFoundThatAreWanted(t *testing.T) {
	a := func(first string) *account.Account {
		x := &account.Account{ID: account.ID{1}, Status: account.Active}
		x.Text[account.FirstName] = first
		return x
	}
	var body []byte
	for _, c := range []*Change{
		{Seq: 1, Action: Create, Target: Account, Account: account.ID{1}, Name: "uid=ANNA", After: a("Anna")},
		{Seq: 2, Action: Create, Target: Account, Account: account.ID{1}, Name: "uid=e", After: a("Élodie")},
		{Seq: 3, Action: Delete, Target: Group, Group: account.ID{2}, Name: "g", GroupName: [2]string{"Annals", ""}},
		{Seq: 4, Action: Add, Target: Membership, Group: account.ID{2}, Name: "Staff", Members: []account.ID{{1}, {2}}},
	} {
		body = AppendChange(body, c)
	}
	chunk := compress(body)
	for name, c := range map[string]struct {
		only Narrow
		want []int64
	}{
		"all":                          {Narrow{}, []int64{1, 2, 3, 4}},
		"an action":                    {Narrow{Actions: []Action{Create}}, []int64{1, 2}},
		"one of two actions":           {Narrow{Actions: []Action{Add, Delete}}, []int64{3, 4}},
		"a target":                     {Narrow{Target: Group}, []int64{3}},
		"a word in any case":           {Narrow{Word: "aNNa"}, []int64{1, 3}},
		"with another letter":          {Narrow{Word: "éLO"}, []int64{2}},
		"in another case":              {Narrow{Word: "ÉLODIE"}, []int64{2}},
		"all at once":                  {Narrow{Word: "anna", Target: Account, Actions: []Action{Create}}, []int64{1}},
		"of an account":                {Narrow{Accounts: []account.ID{{2}, {3}}}, []int64{4}},
		"of an account, one action":    {Narrow{Accounts: []account.ID{{1}}, Actions: []Action{Create}}, []int64{1, 2}},
		"of nobody who is in it":       {Narrow{Accounts: []account.ID{{3}}}, nil},
		"what is stored but not shown": {Narrow{Word: "account"}, nil},
	} {
		var got []int64
		if err := EachChange(chunk, c.only, func(c *Change) error { got = append(got, c.Seq); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v", name, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
}
