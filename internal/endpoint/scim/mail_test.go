package scim

import (
	"testing"

	"rollcall.dev/rollcall/internal/scim"
)

func TestUserNameAndWorkMailAreKeptEqual(t *testing.T) {
	person := func(name string, mails ...string) scim.Object {
		o := scim.Object{"userName": name}
		var list []any
		for i := 0; i < len(mails); i += 2 {
			list = append(list, scim.Object{"type": mails[i], "value": mails[i+1]})
		}
		if list != nil {
			o["emails"] = list
		}
		return o
	}
	for _, c := range []struct {
		sentence      string
		before, after scim.Object
		want          string
	}{
		{"what is equal stays", nil, person("a@x.example", "work", "a@x.example"), "a@x.example"},
		{"somebody new without an e-mail gets the name", nil, person("a@x.example"), "a@x.example"},
		{"somebody new whose name is no address gets the e-mail", nil, person("ada", "work", "a@x.example"), "a@x.example"},
		{"of two addresses of somebody new the name goes before", nil, person("a@x.example", "work", "b@x.example"), "a@x.example"},
		{"another name is followed", person("a@x.example", "work", "a@x.example"), person("b@x.example", "work", "a@x.example"), "b@x.example"},
		{"another e-mail is followed", person("a@x.example", "work", "a@x.example"), person("a@x.example", "work", "b@x.example"), "b@x.example"},
		{"of two that changed the name goes before", person("a@x.example", "work", "a@x.example"), person("b@x.example", "work", "c@x.example"), "b@x.example"},
		{"an e-mail at home is nobody's name", nil, person("a@x.example", "home", "b@x.example", "work", "c@x.example"), "a@x.example"},
		{"an e-mail that was taken away comes back", person("a@x.example", "work", "a@x.example"), person("a@x.example"), "a@x.example"},
	} {
		sameMail(c.before, c.after)
		if got := userName(c.after); got != c.want {
			t.Errorf("%s: userName %q, wanted %q", c.sentence, got, c.want)
		}
		if got := workMail(c.after); got != c.want {
			t.Errorf("%s: work e-mail %q, wanted %q", c.sentence, got, c.want)
		}
		again := scim.Object{"userName": c.after["userName"], "emails": c.after["emails"]}
		sameMail(c.after, again)
		if userName(again) != c.want {
			t.Errorf("%s: moves on when it is sent again", c.sentence)
		}
	}
}
