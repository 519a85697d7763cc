package simulator

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/simulator/tree"
)

// acme is a Domino directory with people, groups and a deny list.
func acme(t *testing.T, d *Domino) *Server {
	t.Helper()
	s := start(t, Options{Personality: d})
	for _, name := range []string{"Anna Ames", "Bo Berg", "Cy Cole"} {
		short := strings.ToLower(strings.Split(name, " ")[0])
		must[*tree.Entry](t)(s.Tree.Add("CN="+name+",OU=INT,O=Acme", "objectClass", "top", "objectClass", "person", "objectClass", "organizationalPerson",
			"objectClass", "inetOrgPerson", "objectClass", "dominoPerson", "uid", short, "mail", short+"@acme.example", "sn", name[len(short)+1:], "userPassword", "pw-"+short))
	}
	must[*tree.Entry](t)(s.Tree.Add("CN=Staff", "objectClass", "groupOfNames", "objectClass", "dominoGroup",
		"member", "CN=Anna Ames,OU=INT,O=Acme", "member", "CN=Bo Berg,OU=INT,O=Acme"))
	must[*tree.Entry](t)(s.Tree.Add("CN=Deny Access", "objectClass", "groupOfNames", "objectClass", "dominoGroup", "member", "CN=Cy Cole,OU=INT,O=Acme"))
	return s
}

func TestDomino(t *testing.T) {
	s := acme(t, &Domino{Anonymous: true})
	c := dial(t, s, "", "")
	q := ask("", "(objectClass=*)")
	q.Scope = ldap.ScopeBaseObject
	r, err := c.Search(q)
	try(t, err)
	root := r.Entries[0]
	if v := root.GetRawAttributeValue("namingcontexts"); string(v) != "\x00" {
		t.Errorf("the naming context is %q", v)
	}
	if v := root.GetAttributeValues("supportedControl"); len(v) != 0 || root.GetAttributeValue("vendorname") != "IBM Lotus Software" {
		t.Errorf("the root DSE says %v", root.Attributes)
	}

	for _, x := range []struct{ name, base, filter, want string }{
		{"groups lie flat below nothing", "", "(objectClass=dominoGroup)", "Deny Access Staff"},
		{"a group by its DN", "CN=Staff", "(objectClass=*)", "Staff"},
		{"people below their organization", "O=Acme", "(objectClass=dominoPerson)", "Anna Ames Bo Berg Cy Cole"},
		{"everybody below the empty base", "", "(uid=*)", "Anna Ames Bo Berg Cy Cole"},
	} {
		if r, err := c.Search(ask(x.base, x.filter, "cn")); err != nil || names(r) != x.want {
			t.Errorf("%s: %v, %v", x.name, r, err)
		}
	}
	r, err = c.Search(ask("", "(uid=anna)"))
	try(t, err)
	if e := r.Entries[0]; e.GetAttributeValue("dominoUNID") != "" || e.GetAttributeValue("dominoAccessGroups") != "" {
		t.Errorf("unasked comes %v", e.Attributes)
	}
	r, err = c.Search(ask("", "(uid=anna)", "dominoUNID", "dominoAccessGroups"))
	try(t, err)
	unid := r.Entries[0].GetAttributeValue("dominoUNID")
	if len(unid) != 32 || r.Entries[0].GetAttributeValue("dominoAccessGroups") != "CN=Staff" {
		t.Errorf("asked for comes %v", r.Entries[0].Attributes)
	}
	try(t, s.Tree.Rename("CN=Anna Ames,OU=INT,O=Acme", "CN=Anna Abel", true, nil))
	r, err = c.Search(ask("", "(uid=anna)", "dominoUNID"))
	if err != nil || r.Entries[0].GetAttributeValue("dominoUNID") != unid {
		t.Errorf("after a rename the ID is %v, %v", r, err)
	}
	if g := s.Tree.Find("CN=Staff"); g.First("member") != "CN=Anna Ames,OU=INT,O=Acme" {
		t.Errorf("the group follows a rename: %q", g.Get("member"))
	}

	q = ask("", "(uid=*)", "uid")
	paging := ldap.NewControlPaging(1)
	q.Controls = []ldap.Control{paging}
	if r, err := c.Search(q); err != nil || len(r.Entries) != 3 || len(r.Controls) != 0 {
		t.Errorf("with a paging control comes %v, %v", r, err)
	}
	q.Controls = []ldap.Control{ldap.NewControlString(ldap.ControlTypePaging, true, paging.Encode().Children[1].Data.String())}
	if _, err := c.Search(q); code(err) != 12 {
		t.Errorf("with a critical one: %v", err)
	}
}

func TestDominoSignsInByManyNames(t *testing.T) {
	s := acme(t, &Domino{HCL: true})
	for _, name := range []string{"CN=Bo Berg,OU=INT,O=Acme", "bo", "BO@acme.example", "Bo Berg"} {
		if err := dial(t, s, "", "").Bind(name, "pw-bo"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := dial(t, s, "", "").Bind(name, "x"); code(err) != 49 {
			t.Errorf("%s with a wrong password: %v", name, err)
		}
	}
	strict := acme(t, &Domino{DNRequired: true, NoUNID: true})
	if err := dial(t, strict, "", "").Bind("bo", "pw-bo"); code(err) != 49 {
		t.Errorf("by short name where the DN is required: %v", err)
	}
	c := dial(t, strict, "CN=Admin,O=Acme", "secret")
	if r, err := c.Search(ask("", "(uid=bo)", "dominoUNID")); err != nil || len(r.Entries[0].Attributes) != 0 {
		t.Errorf("an old directory has %v, %v", r, err)
	}
	if _, err := dial(t, s, "", "").Search(ask("", "(uid=bo)")); code(err) != 32 {
		t.Errorf("nobody reads: %v", err)
	}
}

func TestDominoStopsAtItsLimit(t *testing.T) {
	s := acme(t, &Domino{SizeLimit: 2, Anonymous: true})
	r, err := dial(t, s, "", "").Search(ask("", "(uid=*)", "uid"))
	if code(err) != 4 || len(r.Entries) != 2 {
		t.Errorf("%v", err)
	}
	q := ask("", "(uid=*)", "uid")
	q.SizeLimit = 1
	if r, err := dial(t, s, "", "").Search(q); code(err) != 4 || len(r.Entries) != 1 {
		t.Errorf("the smaller limit: %v", err)
	}
}
