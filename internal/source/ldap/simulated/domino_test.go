package simulated

import (
	"context"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	"rollcall.dev/rollcall/internal/source"
)

// acme is a Domino directory.
func acme(t *testing.T, p *simulator.Domino) *simulator.Server {
	t.Helper()
	config, _ := certificate(t)
	s := start(t, simulator.Options{Personality: p, TLS: config})
	for _, name := range []string{"Anna Ames", "Bo Berg", "Cy Cole"} {
		first, last, _ := strings.Cut(name, " ")
		_, err := s.Tree.Add("CN="+name+",OU=INT,O=Acme", "objectClass", "inetOrgPerson", "objectClass", "dominoPerson", "uid", strings.ToLower(first),
			"givenName", first, "sn", last, "mail", strings.ToLower(first)+"@acme.example", "userPassword", "pw")
		must(t, err)
	}
	for _, pairs := range [][]string{
		{"CN=Staff", "CN=Anna Ames,OU=INT,O=Acme", "CN=Cy Cole,OU=INT,O=Acme", "CN=Managers"},
		{"CN=Managers", "CN=Bo Berg,OU=INT,O=Acme"},
		{"CN=Deny Access", "CN=Cy Cole,OU=INT,O=Acme"},
	} {
		flat := []string{"objectClass", "groupOfNames", "objectClass", "dominoGroup"}
		for _, m := range pairs[1:] {
			flat = append(flat, "member", m)
		}
		_, err := s.Tree.Add(pairs[0], flat...)
		must(t, err)
	}
	return s
}

func TestDominoIsReadWhole(t *testing.T) {
	for name, p := range map[string]*simulator.Domino{"IBM's": {}, "HCL's": {HCL: true}} {
		t.Run(name, func(t *testing.T) {
			s := acme(t, p)
			src := open(t, as(s, "bo", "pw", setting.Values{"groups.members_only": true}))
			preset, err := src.Preset(t.Context())
			if err != nil || preset.Vendor != "Domino" || preset.Anchor != "dominoUNID" {
				t.Fatalf("%+v, %v", preset, err)
			}
			p, err := read(t.Context(), src, "mail", "uid")
			must(t, err)
			if !p.Complete || len(p.people) != 3 || len(p.groups) != 3 {
				t.Fatalf("%d people, %d groups, complete %v: %s", len(p.people), len(p.groups), p.Complete, p.Reason)
			}
			if id := p.find(t, "CN=Anna Ames").ID; len(id) != 32 {
				t.Errorf("the external ID is %s", id)
			}
			staff := p.find(t, "CN=Staff")
			if staff.Ref != "CN=Staff" || len(staff.Members) != 3 || staff.Members[2] != "CN=Managers" {
				t.Errorf("the group is %+v", staff)
			}
			var steps []string
			src.Check(context.Background(), func(step source.Step) { steps = append(steps, step.Name+" "+string(step.Verdict)+" "+step.Detail) })
			if text := strings.Join(steps, "\n"); strings.Contains(text, " fail ") || !strings.Contains(text, "Domino") {
				t.Errorf("the doctor says\n%s", text)
			}
		})
	}
}
