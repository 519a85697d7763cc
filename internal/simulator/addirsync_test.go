package simulator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

const incremental = 0x80000000 | 1

// dirSyncTo reads rounds until there is no more, and gives a line for each entry:
// its name and its attributes but objectGUID and instanceType, with values.
func dirSyncTo(t *testing.T, c *ldap.Conn, filter string, flags int64, cookie []byte, attributes ...string) (lines []string, rounds int, next []byte) {
	t.Helper()
	for {
		rounds++
		r, err := c.DirSync(ask(adSuffix, filter, attributes...), flags, 0, cookie)
		try(t, err)
		for _, e := range r.Entries {
			lines = append(lines, line(t, e))
		}
		control := ldap.FindControl(r.Controls, ldap.ControlTypeDirSync).(*ldap.ControlDirSync)
		cookie = control.Cookie
		if control.Flags == 0 {
			return lines, rounds, cookie
		}
	}
}

func line(t *testing.T, e *ldap.Entry) string {
	t.Helper()
	if len(e.GetRawAttributeValue("objectGUID")) != 16 || e.GetAttributeValue("instanceType") == "" {
		t.Errorf("%s comes without objectGUID or instanceType", e.DN)
	}
	var parts []string
	for _, a := range e.Attributes {
		if a.Name == "objectGUID" || a.Name == "instanceType" || a.Name == "parentGUID" {
			continue
		}
		values := slices.Clone(a.Values)
		for i, v := range values {
			values[i] = strings.TrimSuffix(v, ","+adStaff)
			values[i], _, _ = strings.Cut(values[i], "\n")
		}
		slices.Sort(values)
		parts = append(parts, a.Name+"="+strings.Join(values, "|"))
	}
	slices.Sort(parts)
	rdn, above := tree.SplitDN(e.DN)
	rdn, _, _ = strings.Cut(rdn, `\0A`)
	if strings.HasPrefix(above, "CN=Deleted Objects,") {
		rdn += " deleted"
	}
	return strings.TrimSpace(rdn + " " + strings.Join(parts, " "))
}

func TestDirSync(t *testing.T) {
	s := forest(t, &ActiveDirectory{DirSyncRound: 2, DeletedReaders: []string{adReader}}, Options{})
	c := dial(t, s, adReader, "reads")
	const staffOnly = "(&(|(objectClass=user)(objectClass=group))(!(isCriticalSystemObject=TRUE)))"
	want := []string{"CN=Anna mail=anna@example.org name=Anna", "CN=Bo mail=bo@example.org name=Bo", "CN=Cy mail=cy@example.org name=Cy",
		"CN=Sales member=CN=Anna|CN=Bo name=Sales", "CN=reader name=reader"}
	lines, rounds, cookie := dirSyncTo(t, c, staffOnly, 1, nil, "mail", "member", "name")
	if !slices.Equal(lines, want) || rounds != 3 {
		t.Errorf("at first come in %d rounds\n%s", rounds, strings.Join(lines, "\n"))
	}
	step := func(what string, flags int64, want ...string) {
		t.Helper()
		lines, _, next := dirSyncTo(t, c, staffOnly, flags, cookie, "mail", "member", "title")
		if !slices.Equal(lines, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
		cookie = next
	}
	step("nothing new", 1)
	try(t, s.Tree.Modify("CN=Anna,"+adStaff, tree.Replace("mail", "a@example.org"), tree.Replace("department", "Sales")))
	step("one attribute", 1, "CN=Anna mail=a@example.org")
	try(t, s.Tree.Modify("CN=Anna,"+adStaff, tree.Replace("department", "HR")))
	step("an attribute nobody asked for", 1)
	try(t, s.Tree.Modify("CN=Anna,"+adStaff, tree.Minus("mail")))
	step("an attribute that went", 1, "CN=Anna mail=")
	try(t, s.Tree.Rename("CN=Anna,"+adStaff, "CN=Ann", true, nil))
	step("a rename", 1, "CN=Ann name=Ann")
	try(t, s.Tree.Modify("CN=Sales,"+adStaff, tree.Plus("member", "CN=Cy,"+adStaff), tree.Minus("member", "CN=Bo,"+adStaff)))
	kept := cookie
	step("members in full", 1, "CN=Sales member=CN=Ann|CN=Cy")
	cookie = kept
	step("members by value", incremental, "CN=Sales member;range=0-0=CN=Bo member;range=1-1=CN=Cy")
	try(t, s.Tree.Modify("CN=Sales,"+adStaff, tree.Plus("member", "CN=Bo,"+adStaff)))
	try(t, s.Tree.Rename("CN=Bo,"+adStaff, "CN=Bob", true, nil))
	step("a member that was renamed since", incremental, "CN=Sales member;range=1-1=CN=Bob", "CN=Bob name=Bob")
	try(t, s.Tree.Delete("CN=Cy,"+adStaff))
	step("a deletion, of which the group says nothing", incremental, "CN=Cy deleted isDeleted=TRUE mail= name=Cy")
	try(t, s.Tree.Rename(adStaff, "OU=People", true, nil))
	step("an OU was renamed: nobody in it is told of", 1)

	all, _, _ := dirSyncTo(t, c, staffOnly, 1, nil, "mail")
	if !slices.Contains(all, "CN=Cy deleted isDeleted=TRUE name=Cy") {
		t.Errorf("read anew, the deleted are missing:\n%s", strings.Join(all, "\n"))
	}
	other := dial(t, s, "CN=Bob,OU=People,"+adSuffix, "pw")
	if lines, _, _ := dirSyncTo(t, other, staffOnly, 1, kept, "mail"); slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "deleted") }) {
		t.Errorf("who may not see the deleted is told of %q", lines)
	}
	for _, x := range []struct {
		name   string
		c      *ldap.Conn
		base   string
		flags  int64
		cookie []byte
		code   int
	}{
		{"garbage for a cookie", c, adSuffix, 1, []byte("nonsense"), 12},
		{"a cookie with one bit another", c, adSuffix, 1, append([]byte{cookie[0] ^ 1}, cookie[1:]...), 12},
		{"a cookie from the future", c, adSuffix, 1, append(slices.Clone(cookie[:32]), 0x7f), 12},
		{"a base that is no naming context", c, "OU=People," + adSuffix, 1, nil, 50},
		{"without the right to replicate", c, adSuffix, 0, nil, 50},
		{"with it", dial(t, s, adAdmin, "Passw0rd!"), adSuffix, 0, nil, 0},
	} {
		if _, err := x.c.DirSync(ask(x.base, "(cn=*)", "cn"), x.flags, 0, x.cookie); code(err) != x.code {
			t.Errorf("%s: %v, want code %d", x.name, err, x.code)
		}
	}
	two := start(t, Options{Personality: (&ActiveDirectory{}).Another("dc2", 77), Tree: s.Tree})
	if _, err := dial(t, two, adReader, "reads").DirSync(ask(adSuffix, "(cn=*)", "cn"), 1, 0, cookie); err != nil {
		t.Errorf("the cookie on another domain controller: %v", err)
	}
}

func TestManyMembersComeInPortions(t *testing.T) {
	s := forest(t, &ActiveDirectory{DirSyncValues: 2}, Options{})
	pairs := []string{"objectClass", "group"}
	for i := range 5 {
		pairs = append(pairs, "member", fmt.Sprintf("CN=%d,%s", i, adStaff))
	}
	must[*tree.Entry](t)(s.Tree.Add("CN=Many,"+adStaff, pairs...))
	lines, _, _ := dirSyncTo(t, dial(t, s, adReader, "reads"), "(cn=Many)", incremental, nil, "member")
	if want := []string{"CN=Many member;range=1-1=CN=0|CN=1 name=Many", "CN=Many member;range=1-1=CN=2|CN=3", "CN=Many member;range=1-1=CN=4"}; !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
}

func TestChangesAreNotified(t *testing.T) {
	s := forest(t, &ActiveDirectory{}, Options{})
	c := dial(t, s, adReader, "reads")
	notified := func(filter string) ldap.Response {
		q := ask(adStaff, filter, "title")
		q.Controls = []ldap.Control{ldap.NewControlString(wire.OIDNotify, true, "")}
		return c.SearchAsync(t.Context(), q, 0)
	}
	if r := notified("(cn=Anna)"); r.Next() || code(r.Err()) != 53 {
		t.Errorf("another filter: %v", r.Err())
	}
	r := notified("(objectClass=*)")
	heard := make(chan string)
	go func() {
		if r.Next() && r.Entry() != nil {
			heard <- r.Entry().DN + " " + r.Entry().GetAttributeValue("title")
		}
		close(heard)
	}()
	// Nothing says when the server begins to listen: it is told until it hears.
	for i := 0; ; i++ {
		select {
		case got := <-heard:
			if !strings.HasPrefix(got, "CN=Anna,OU=Staff,DC=example,DC=org ") {
				t.Errorf("heard %q", got)
			}
			return
		default:
			try(t, s.Tree.Modify("CN=Anna,"+adStaff, tree.Replace("title", fmt.Sprint(i))))
		}
	}
}
