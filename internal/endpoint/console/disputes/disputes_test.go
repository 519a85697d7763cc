package disputes

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/client"
)

func TestDisputesThatAskForTheSameDecisionStandTogether(t *testing.T) {
	list := []client.Dispute{
		{Connection: "hq", Kind: "mismatch", Case: "mismatch"}, {Connection: "hq", Kind: "dispute", Case: "claimed"}, {Connection: "hq", Kind: "dispute", Case: "shared"},
		{Connection: "hq", Kind: "dispute", Case: "claimed"}, {Connection: "lab", Kind: "overlap", Case: "overlap"}, {Connection: "lab", Kind: "dispute", Case: "of a later version"}, {Connection: "hq", Kind: "mismatch", Case: "mismatch"},
	}
	var got []string
	for _, g := range grouped(list) {
		if g.Title == "" || g.Text == "" {
			t.Errorf("nothing is said about %s %s", g.Kind, g.Case)
		}
		got = append(got, g.Connection+" "+g.Kind+" "+g.Case+" "+strings.Repeat("*", len(g.Items)))
	}
	if s := strings.Join(got, ", "); s != "hq dispute claimed **, hq dispute shared *, lab dispute of a later version *, lab overlap overlap *, hq mismatch mismatch **" {
		t.Error(s)
	}
}

func TestADNIsCalledByItsFirstPart(t *testing.T) {
	for _, c := range []struct{ name, short, rest string }{
		{"uid=ada,ou=people,dc=example", "ada", "ou=people,dc=example"},
		{`cn=Byron\, Ada,ou=people`, `Byron\, Ada`, "ou=people"},
		{"ada", "ada", ""}, {"", "", ""}, {"uid=ada", "uid=ada", ""}, {`cn=a\`, `cn=a\`, ""},
	} {
		if short, rest := divide(c.name); short != c.short || rest != c.rest {
			t.Errorf("%s: %q %q", c.name, short, rest)
		}
	}
}
