package match

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/setting"
)

func TestWhichMatchingAttributesAreFurther(t *testing.T) {
	if got := Further([]string{"email", "badge", "username", "mobile_phone", "badge"}); !slices.Equal(got, []string{"badge", "mobile_phone"}) {
		t.Errorf("%q", got)
	}
	if got := Further([]string{"username", "email"}); got != nil {
		t.Errorf("%q", got)
	}
}

func TestAnAccountFoundByAFurtherValue(t *testing.T) {
	by := func(names ...string) Rules { return Rules{Match: names} }
	local := func(label string, badges ...string) Holder {
		return holder(label, label, label).of(account.Local).with("badge", badges...)
	}
	mine := func(label string, badges ...string) Holder {
		return holder(label, label, label).with("badge", badges...)
	}
	anna := []Entry{entry("anna", "anna", "a").with("badge", "7")}
	for _, c := range []struct {
		name string
		w    world
		want []string
	}{
		{"a local one", world{entries: anna, accounts: []Holder{local("l", "7")}, rules: by("badge")}, []string{"anna found l by badge"}},
		{"of a list, any value", world{entries: []Entry{entry("anna", "anna", "a").with("badge", "1", "7")}, accounts: []Holder{local("l", "7", "9")}, rules: by("badge")},
			[]string{"anna found l by badge"}},
		{"not by a value nobody has", world{entries: anna, accounts: []Holder{local("l", "8"), local("m")}, rules: by("badge")}, []string{"anna new"}},
		{"not by the value of another attribute", world{entries: anna, accounts: []Holder{holder("l", "l", "l").of(account.Local).with("card", "7")}, rules: by("badge", "card")},
			[]string{"anna new"}},
		{"not by an attribute nobody matches by", world{entries: anna, accounts: []Holder{local("l", "7")}, rules: by("email")}, []string{"anna new"}},
		{"not by an empty value", world{entries: []Entry{entry("anna", "anna", "a"), entry("bo", "bo", "b")}, accounts: []Holder{local("l")}, rules: by("badge")},
			[]string{"anna new", "bo new"}},
		{"by the first of the order that finds it", world{entries: anna, accounts: []Holder{holder("l", "l", "a").of(account.Local).with("badge", "7")}, rules: by("badge", "email")},
			[]string{"anna found l by badge"}},
		{"by two attributes two accounts: both are named, with what found them", world{entries: anna, accounts: []Holder{holder("l", "l", "a").of(account.Local), local("m", "7")}, rules: by("badge", "email")},
			[]string{"anna dispute: it claims two accounts: account m <m@x.org> (m) by badge, account l <a@x.org> (l) by email"}},
		{"by one value two accounts: both are named", world{entries: anna, accounts: []Holder{local("l", "7"), local("m", "7")}, rules: by("badge")},
			[]string{"anna dispute: it claims two accounts: account l <l@x.org> (l) by badge, account m <m@x.org> (m) by badge"}},
		{"though the name it claims belongs to another: that one is named", world{entries: anna, accounts: []Holder{holder("l", "anna", "l").of(account.Local), local("m", "7")}, rules: by("badge")},
			[]string{"anna dispute: the username it claims belongs to account anna <l@x.org> (anna) of provider local"}},
		{"of another connection, which keeps it until there is an owner", world{entries: anna, accounts: []Holder{mine("z", "7").of("lab")}, rules: by("badge")},
			[]string{"anna overlap: connection lab keeps account z <z@x.org> (z) and claims the same person; changed by neither until one has `overlap: own`"}},
		{"of another provider, left alone by policy", world{entries: anna, accounts: []Holder{local("l", "7")}, rules: Rules{Match: []string{"badge"}, Policy: setting.Policy{NoUpdateProviderMismatch: true}}},
			[]string{"anna refused: would link to account l <l@x.org> (l) of provider local; `no-update-provider-mismatch` leaves it alone"}},
		{"of one who left: they came back as another entry", world{entries: anna, accounts: []Holder{mine("old", "7").left()}, rules: by("badge")}, []string{"anna found old by badge"}},
		{"of one whose entry is gone in this plan", world{entries: append(slices.Clone(anna), entry("old", "", "").in(Gone)), accounts: []Holder{mine("old", "7")}, rules: by("badge")},
			[]string{"anna found old by badge", "old nothing"}},
		{"of two who left, both: that is a dispute", world{entries: anna, accounts: []Holder{mine("old", "7").left(), mine("older", "7").deleted()}, rules: by("badge")},
			[]string{"anna dispute: it claims two accounts: account old <old@x.org> (old) by badge, account older <older@x.org> (older) by badge"}},
		{"of one in use rather than of one who left", world{entries: anna, accounts: []Holder{mine("old", "7").left(), local("l", "7")}, rules: by("badge")}, []string{"anna found l by badge"}},
		{"not of one whose entry is still there", world{entries: anna, accounts: []Holder{mine("bo", "7")}, rules: by("badge")},
			[]string{"anna dispute: the badge it claims belongs to account bo <bo@x.org> (bo), which another entry (BO) holds"}},
		{"not of one whose entry is still there and in this plan", world{entries: append(slices.Clone(anna), entry("bo", "bo", "b").with("badge", "7")), accounts: []Holder{mine("bo", "7")}, rules: by("badge")},
			[]string{`anna dispute: cn=anna and cn=bo both claim the badge "7"`, "bo linked to bo"}},
		{"not of one that gives the value up in this plan", world{entries: append(slices.Clone(anna), entry("bo", "bo", "b").with("badge", "8")), accounts: []Holder{mine("bo", "7")}, rules: by("badge")},
			[]string{"anna new", "bo linked to bo"}},
		{"nor of one that takes it in this plan", world{entries: append(slices.Clone(anna), entry("bo", "bo", "b").with("badge", "7")), accounts: []Holder{mine("bo", "8")}, rules: by("badge")},
			[]string{`anna dispute: cn=anna and cn=bo both claim the badge "7"`, "bo linked to bo"}},
		{"by two newcomers: none of them gets it", world{entries: append(slices.Clone(anna), entry("bo", "bo", "b").with("badge", "7")), accounts: []Holder{local("l", "7")}, rules: by("badge")},
			[]string{`anna dispute: cn=anna and cn=bo both claim the badge "7"`, `bo dispute: cn=bo and cn=anna both claim the badge "7"`}},
		{"by two newcomers in two ways: none of them gets it", world{entries: append(slices.Clone(anna), entry("bo", "bo", "l")), accounts: []Holder{local("l", "7")}, rules: by("badge", "email")},
			[]string{"anna dispute: cn=anna and cn=bo all match account l", "bo dispute: cn=anna and cn=bo all match account l"}},
	} {
		t.Run(c.name, func(t *testing.T) { c.w.check(t, c.want...) })
	}
}

func TestWhoHasAnAccountMayCarryWhatOthersCarry(t *testing.T) {
	w := world{
		entries:  []Entry{entry("anna", "anna", "a").with("badge", "7"), entry("bo", "bo", "b").with("badge", "7"), entry("cy", "cy", "c").with("badge", "7")},
		accounts: []Holder{holder("anna", "anna", "a").with("badge", "7"), holder("bo", "bo", "b").with("badge", "7"), holder("cy", "cy", "c"), holder("l", "l", "l").of("lab").with("badge", "7")},
		rules:    Rules{Match: []string{"badge"}},
	}
	w.check(t, "anna linked to anna", "bo linked to bo", "cy linked to cy")
	if s := w.survey(w.entries); len(s.Ambiguous()) > 0 {
		t.Error("names are asked for that nobody is told")
	}
}

func TestAValueThatTellsNobodyApart(t *testing.T) {
	w := world{entries: []Entry{entry("anna", "anna", "a").with("badge", "n/a")}, rules: Rules{Match: []string{"badge"}}}
	for i := range MostHolders + 1 {
		label := fmt.Sprintf("p%02d", i)
		w.accounts = append(w.accounts, holder(label, label, label).of(account.Local).with("badge", "n/a"))
	}
	w.check(t, `anna dispute: more than 20 accounts carry the badge "n/a" it claims; it tells nobody apart`)
	var want []string
	w = world{rules: Rules{Match: []string{"badge"}}}
	for i := range 12 {
		name := fmt.Sprintf("p%02d", i)
		w.entries = append(w.entries, entry(name, name, name).with("badge", "n/a"))
		others := slices.DeleteFunc([]string{"cn=p00", "cn=p01", "cn=p02", "cn=p03", "cn=p04", "cn=p05"}, func(s string) bool { return s == "cn="+name })[:5]
		want = append(want, fmt.Sprintf(`%s dispute: cn=%s and %s and 6 more all claim the badge "n/a"`, name, name, strings.Join(others, " and ")))
	}
	w.check(t, want...)
	w.entries = nil
	for i := range mostNamed + 50 {
		name := fmt.Sprintf("p%03d", i)
		w.entries = append(w.entries, entry(name, name, name).with("badge", "n/a"))
	}
	s := w.survey(w.entries)
	if n := len(s.Ambiguous()); n != 3 {
		t.Errorf("%d names are asked for", n)
	}
	for _, v := range w.verdicts(s) {
		if !strings.Contains(v, `dispute: 250 entries claim the badge "n/a", cn=p`) || !strings.Contains(v, "it tells nobody apart") {
			t.Fatal(v)
		}
	}
	one := w.verdicts(s)[7]
	slices.Reverse(w.entries)
	if other := w.verdicts(w.survey(w.entries))[len(w.entries)-1-7]; one != other {
		t.Errorf("%q, in another order %q", one, other)
	}
}
