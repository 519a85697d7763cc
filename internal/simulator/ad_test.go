package simulator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

const (
	adSuffix = "DC=example,DC=org"
	adStaff  = "OU=Staff,DC=example,DC=org"
	adAdmin  = "CN=Administrator,CN=Users,DC=example,DC=org"
	adReader = "CN=reader,CN=Users,DC=example,DC=org"
)

// forest is a domain with a few people, a group and a reader.
func forest(t *testing.T, p *ActiveDirectory, o Options) *Server {
	t.Helper()
	o.Personality = p
	s := start(t, o)
	add := func(dn string, pairs ...string) { must[*tree.Entry](t)(s.Tree.Add(dn, pairs...)) }
	add(adStaff, "objectClass", "organizationalUnit")
	for _, name := range []string{"Anna", "Bo", "Cy"} {
		add("CN="+name+","+adStaff, "objectClass", "user", "sn", "Ames", "mail", strings.ToLower(name)+"@example.org", "sAMAccountName", strings.ToLower(name),
			"userPrincipalName", strings.ToLower(name)+"@corp.example", "userPassword", "pw")
	}
	add("CN=Sales,"+adStaff, "objectClass", "group", "member", "CN=Anna,"+adStaff, "member", "CN=Bo,"+adStaff)
	add(adReader, "objectClass", "user", "userPassword", "reads")
	return s
}

func TestTheRootDSEOfADomainController(t *testing.T) {
	s := forest(t, &ActiveDirectory{}, Options{})
	q := ask("", "(objectClass=*)")
	q.Scope = ldap.ScopeBaseObject
	c := dial(t, s, "", "")
	r, err := c.Search(q)
	try(t, err)
	root := r.Entries[0]
	for name, want := range map[string]string{
		"defaultNamingContext": adSuffix, "forestFunctionality": "7", "dnsHostName": "dc1.example.org",
		"supportedCapabilities": "1.2.840.113556.1.4.800",
		"dsServiceName":         "CN=NTDS Settings,CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration,DC=example,DC=org",
		"highestCommittedUSN":   fmt.Sprint(12000 + s.Tree.Number()),
	} {
		if got := root.GetAttributeValue(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(root.GetAttributeValues("namingContexts")) != 5 || !slices.Contains(root.GetAttributeValues("supportedControl"), wire.OIDDirSync) {
		t.Errorf("the root DSE says %v", root.Attributes)
	}
	q.Controls = []ldap.Control{ldap.NewControlPaging(1)}
	if _, err := c.Search(q); code(err) != 1 {
		t.Errorf("nobody asks with a control: %v", err)
	}
	if _, err := c.Search(ask(adSuffix, "(objectClass=user)")); code(err) != 1 || !strings.Contains(err.Error(), "a successful bind must be completed") {
		t.Errorf("nobody searches: %v", err)
	}
	settings, err := dial(t, s, adReader, "reads").Search(ask(root.GetAttributeValue("dsServiceName"), "(objectClass=*)", "invocationId"))
	if err != nil || len(settings.Entries[0].GetRawAttributeValue("invocationId")) != 16 {
		t.Errorf("the server's own entry: %v, %v", settings, err)
	}
}

func TestAnEntryOfActiveDirectory(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s := forest(t, &ActiveDirectory{}, Options{Now: func() time.Time { return now }})
	c := dial(t, s, adReader, "reads")
	r, err := c.Search(ask(adStaff, "(sAMAccountName=anna)"))
	try(t, err)
	e := r.Entries[0]
	for name, want := range map[string]string{
		"objectCategory": "CN=Person,CN=Schema,CN=Configuration,DC=example,DC=org", "userAccountControl": "512", "primaryGroupID": "513",
		"sAMAccountType": "805306368", "accountExpires": "9223372036854775807", "memberOf": "CN=Sales,OU=Staff,DC=example,DC=org",
		"distinguishedName": "CN=Anna,OU=Staff,DC=example,DC=org", "name": "Anna", "cn": "Anna", "whenCreated": "20261121120000.0Z",
		"pwdLastSet": "134397360000000000", "unicodePwd": "", "userPassword": "",
	} {
		if got := e.GetAttributeValue(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !slices.Equal(e.GetAttributeValues("objectClass"), []string{"top", "person", "organizationalPerson", "user"}) || len(e.GetRawAttributeValue("objectSid")) != 28 {
		t.Errorf("%v", e.Attributes)
	}
	u := s.Tree.Find("CN=Anna," + adStaff).UUID
	if string(e.GetRawAttributeValue("objectGUID")) != string(u[:]) {
		t.Error("the GUID is not the entry's")
	}
	users, err := c.Search(ask(adSuffix, "(&(objectCategory=person)(objectClass=user)(!(isCriticalSystemObject=TRUE)))", "cn"))
	if err != nil || names(users) != "Anna Bo Cy reader" {
		t.Errorf("people are %v, %v", users, err)
	}
	for base, want := range map[string]string{
		"<GUID=" + guidText(u) + ">": "Anna", "<GUID=" + fmt.Sprintf("%x", u) + ">": "Anna", "<SID=S-1-5-32-545>": "Users",
	} {
		q := ask(base, "(objectClass=*)", "cn")
		q.Scope = ldap.ScopeBaseObject
		if r, err := c.Search(q); err != nil || names(r) != want {
			t.Errorf("%s: %v, %v", base, r, err)
		}
	}
	for filter, want := range map[string]string{
		"(objectGUID=" + ldap.EscapeFilter(string(u[:])) + ")":                                       "Anna",
		"(&(objectClass=user)(userAccountControl:1.2.840.113556.1.4.803:=2))":                        "Guest krbtgt",
		"(memberOf:1.2.840.113556.1.4.1941:=CN=Sales,OU=Staff,DC=example,DC=org)":                    "Anna Bo",
		"(&(memberOf=CN=Domain Users,CN=Users,DC=example,DC=org)(objectClass=user))":                 "",
		"(uSNChanged>=" + fmt.Sprint(12000+s.Tree.Find(adReader).Changed) + ")":                      "reader",
		"(whenChanged>=20261121120000.0Z)":                                                           names(mustSearch(t, c, "(cn=*)")),
		"(&(cn=Bo)(!(mail=bo@example.org)))":                                                         "",
		"(&(objectClass=group)(groupType:1.2.840.113556.1.4.803:=2147483648)(cn=Sales))":             "Sales",
		"(&(objectCategory=group)(!(isCriticalSystemObject=TRUE)))":                                  "Sales",
		"(&(objectClass=user)(userAccountControl:1.2.840.113556.1.4.804:=65536)(!(cn=Guest))(cn=*))": "Administrator",
	} {
		if got := names(mustSearch(t, c, filter)); filter[1:4] != "whe" && got != want {
			t.Errorf("%s: %q, want %q", filter, got, want)
		}
	}
}

func mustSearch(t *testing.T, c *ldap.Conn, filter string) *ldap.SearchResult {
	t.Helper()
	r, err := c.Search(ask(adSuffix, filter, "cn"))
	try(t, err)
	return r
}

func TestWhatASearchOfActiveDirectoryIsLimitedTo(t *testing.T) {
	s := forest(t, &ActiveDirectory{MaxPageSize: 3}, Options{})
	c := dial(t, s, adReader, "reads")
	r, err := c.Search(ask(adSuffix, "(objectClass=user)", "cn"))
	if code(err) != 4 || len(r.Entries) != 3 {
		t.Errorf("without pages: %v", err)
	}
	paging := ldap.NewControlPaging(1000)
	var sizes []int
	for {
		q := ask(adSuffix, "(objectClass=user)", "cn")
		q.Controls = []ldap.Control{paging}
		r, err := c.Search(q)
		try(t, err)
		sizes = append(sizes, len(r.Entries))
		cookie := ldap.FindControl(r.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging).Cookie
		if len(cookie) == 0 {
			if len(r.Referrals) != 3 {
				t.Errorf("the last page refers to %q", r.Referrals)
			}
			break
		}
		paging.SetCookie(cookie)
		if len(sizes) == 1 {
			if _, err := dial(t, s, adReader, "reads").Search(q); code(err) != 12 {
				t.Errorf("the cookie on another connection: %v", err)
			}
		}
	}
	if !slices.Equal(sizes, []int{3, 3, 1}) {
		t.Errorf("pages of %v", sizes)
	}
	for _, x := range []struct {
		name, base string
		scope      int
		control    string
		want       []string
	}{
		{"the whole domain", adSuffix, ldap.ScopeWholeSubtree, "", []string{"ldap://ForestDnsZones.example.org/DC=ForestDnsZones,DC=example,DC=org",
			"ldap://DomainDnsZones.example.org/DC=DomainDnsZones,DC=example,DC=org", "ldap://example.org/CN=Configuration,DC=example,DC=org"}},
		{"one level", adSuffix, ldap.ScopeSingleLevel, "", []string{"ldap://ForestDnsZones.example.org/DC=ForestDnsZones,DC=example,DC=org??base",
			"ldap://DomainDnsZones.example.org/DC=DomainDnsZones,DC=example,DC=org??base", "ldap://example.org/CN=Configuration,DC=example,DC=org??base"}},
		{"an OU", adStaff, ldap.ScopeWholeSubtree, "", nil},
		{"with the control against it", adSuffix, ldap.ScopeWholeSubtree, wire.OIDDomainScope, nil},
	} {
		q := ask(x.base, "(cn=Anna)", "cn")
		q.Scope = x.scope
		if x.control != "" {
			q.Controls = []ldap.Control{ldap.NewControlString(x.control, true, "")}
		}
		if r, err := c.Search(q); err != nil || !slices.Equal(r.Referrals, x.want) {
			t.Errorf("%s: %q, %v", x.name, r.Referrals, err)
		}
	}
	if _, err := c.Search(ask("DC=other,DC=net", "(cn=*)")); code(err) != 10 {
		t.Errorf("another domain: %v", err)
	}
	if _, err := c.Search(ask("", "(cn=*)")); code(err) != 32 {
		t.Errorf("everything: %v", err)
	}
}

func TestRangesOfActiveDirectory(t *testing.T) {
	s := forest(t, &ActiveDirectory{}, Options{})
	pairs := []string{"objectClass", "group"}
	for i := range 4000 {
		pairs = append(pairs, "member", fmt.Sprintf("CN=%04d,%s", i, adStaff))
	}
	must[*tree.Entry](t)(s.Tree.Add("CN=Everybody,"+adStaff, pairs...))
	c := dial(t, s, adReader, "reads")
	get := func(attribute string, controls ...ldap.Control) string {
		t.Helper()
		q := ask("CN=Everybody,"+adStaff, "(objectClass=*)", attribute)
		q.Controls = controls
		r, err := c.Search(q)
		if err != nil {
			return fmt.Sprint(code(err))
		}
		var list []string
		for _, a := range r.Entries[0].Attributes {
			list = append(list, fmt.Sprintf("%s:%d", a.Name, len(a.Values)))
		}
		return strings.Join(list, " ")
	}
	for _, x := range []struct{ ask, want string }{
		{"member", "member:0 member;range=0-1499:1500"},
		{"member;range=0-*", "member;range=0-1499:1500"},
		{"MEMBER;Range=1500-*", "member;range=1500-2999:1500"},
		{"member;range=3000-*", "member;range=3000-*:1000"},
		{"member;range=10-19", "member;range=10-19:10"},
		{"member;range=3990-5000", "member;range=3990-*:10"},
		{"member;range=4000-*", "1"},
		{"member;range=x-*", ""},
	} {
		if got := get(x.ask); got != x.want {
			t.Errorf("%s: %q, want %q", x.ask, got, x.want)
		}
	}
	if got := get("member;range=4000-*", ldap.NewControlString(wire.OIDRangeNoError, true, "")); got != "" {
		t.Errorf("beyond the end without an error: %q", got)
	}
}

func TestBindsToActiveDirectory(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) // a Saturday
	s := forest(t, &ActiveDirectory{MaxPasswordAge: 24 * time.Hour, LockoutThreshold: 3}, Options{Now: func() time.Time { return noon }})
	anna := "CN=Anna," + adStaff
	nights := make([]byte, 21) // Saturday from 20 to 24 hours
	nights[20] = 0xf0
	for _, x := range []struct {
		name, password, why string // "" is let in
		set                 []tree.Mod
	}{
		{anna, "pw", "", nil},
		{"cn=anna,ou=staff,dc=example,dc=org", "pw", "", nil},
		{"anna@corp.example", "pw", "", nil},
		{"anna@example.org", "pw", "", nil},
		{`EXAMPLE\anna`, "pw", "", nil},
		{"<GUID=" + guidText(s.Tree.Find(anna).UUID) + ">", "pw", "", nil},
		{"CN=Zoe," + adStaff, "pw", "525", nil},
		{"zoe@example.org", "pw", "52e", nil},
		{"anna", "pw", "52e", nil},
		{anna, "wrong", "52e", nil},
		{anna, "pw", "533", []tree.Mod{tree.Replace("userAccountControl", "514")}},
		{anna, "wrong", "52e", []tree.Mod{tree.Replace("userAccountControl", "514")}},
		{anna, "pw", "701", []tree.Mod{tree.Replace("accountExpires", fileTime(noon.Add(-time.Hour)))}},
		{anna, "pw", "", []tree.Mod{tree.Replace("accountExpires", "0")}},
		{anna, "pw", "530", []tree.Mod{tree.Replace("logonHours", string(nights))}},
		{anna, "pw", "531", []tree.Mod{tree.Replace("userWorkstations", "PC1,PC2")}},
		{anna, "pw", "", []tree.Mod{tree.Replace("userWorkstations", "PC1,DC1")}},
		{anna, "pw", "532", []tree.Mod{tree.Replace("pwdLastSet", fileTime(noon.Add(-48*time.Hour)))}},
		{anna, "pw", "", []tree.Mod{tree.Replace("pwdLastSet", "0"), tree.Replace("userAccountControl", "66048")}},
		{anna, "pw", "773", []tree.Mod{tree.Replace("pwdLastSet", "0")}},
		{anna, "wrong", "775", []tree.Mod{tree.Replace("lockoutTime", fileTime(noon))}},
	} {
		usual := []tree.Mod{tree.Replace("userAccountControl", "512"), tree.Replace("accountExpires", never), tree.Replace("logonHours"), tree.Replace("badPwdCount", "0"),
			tree.Replace("userWorkstations"), tree.Replace("pwdLastSet", "-1"), tree.Replace("lockoutTime")}
		try(t, s.Tree.Modify(anna, append(usual, x.set...)...))
		err := dial(t, s, "", "").Bind(x.name, x.password)
		switch {
		case x.why == "" && err != nil:
			t.Errorf("%s %v: %v", x.name, x.set, err)
		case x.why != "" && (code(err) != 49 || !strings.Contains(err.Error(), "AcceptSecurityContext error, data "+x.why+", v")):
			t.Errorf("%s %v: %v, want %s", x.name, x.set, err, x.why)
		}
	}
	bo := dial(t, s, "", "")
	for i, want := range []string{"52e", "52e", "52e", "775"} {
		if err := bo.Bind("CN=Bo,"+adStaff, "wrong"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("wrong password %d: %v", i+1, err)
		}
	}
	if err := bo.Bind("CN=Bo,"+adStaff, "pw"); err == nil || !strings.Contains(err.Error(), "775") {
		t.Errorf("after three wrong passwords: %v", err)
	}
}

func TestANameWithoutAPasswordIsNobody(t *testing.T) {
	s := forest(t, &ActiveDirectory{}, Options{})
	c := dial(t, s, adReader, "reads")
	try(t, c.UnauthenticatedBind(adAdmin))
	if _, err := c.Search(ask(adSuffix, "(cn=*)")); code(err) != 1 {
		t.Errorf("nobody searches: %v", err)
	}
	strict := forest(t, &ActiveDirectory{DenyUnauthenticatedBind: true, StrongAuth: true}, Options{})
	if err := dial(t, strict, "", "").UnauthenticatedBind(adAdmin); code(err) != 53 {
		t.Errorf("where that is switched off: %v", err)
	}
	if err := dial(t, strict, "", "").Bind(adReader, "reads"); code(err) != 8 {
		t.Errorf("without TLS where that is asked for: %v", err)
	}
}

func TestWhatChangesWithoutANewUSN(t *testing.T) {
	s := forest(t, &ActiveDirectory{}, Options{})
	group := "CN=Sales," + adStaff
	before := s.Tree.Find(group)
	try(t, s.Tree.Rename("CN=Anna,"+adStaff, "CN=Ann", true, nil))
	now := s.Tree.Find(group)
	if now.First("member") != "CN=Ann,"+adStaff || now.Changed != before.Changed {
		t.Errorf("after a rename: %q, %d of %d", now.Get("member"), now.Changed, before.Changed)
	}
	try(t, s.Tree.Delete("CN=Bo,"+adStaff))
	now = s.Tree.Find(group)
	if len(now.Get("member")) != 1 || now.Changed != before.Changed {
		t.Errorf("after a deletion: %q, %d of %d", now.Get("member"), now.Changed, before.Changed)
	}
	ann := s.Tree.Find("CN=Ann," + adStaff)
	try(t, s.Tree.Rename(adStaff, "OU=People", true, nil))
	if moved := s.Tree.ByUUID(ann.UUID); moved.DN != "CN=Ann,OU=People,"+adSuffix || moved.Changed != ann.Changed {
		t.Errorf("below a renamed OU: %+v", moved)
	}
	was := s.Tree.Find("CN=Ann,OU=People," + adSuffix).Changed
	try(t, s.Tree.Modify("CN=Sales,OU=People,"+adSuffix, tree.Minus("member", "CN=Ann,OU=People,"+adSuffix)))
	if s.Tree.Find("CN=Ann,OU=People,"+adSuffix).Changed != was {
		t.Error("who leaves a group has a new USN")
	}
}

func TestTombstones(t *testing.T) {
	s := forest(t, &ActiveDirectory{DeletedReaders: []string{adReader}}, Options{})
	anna := s.Tree.Find("CN=Anna," + adStaff)
	try(t, s.Tree.Delete("CN=Anna,"+adStaff))
	deleted := func(c *ldap.Conn, control bool) (*ldap.SearchResult, error) {
		q := ask(adSuffix, "(&(isDeleted=TRUE)(objectClass=*))")
		if control {
			q.Controls = []ldap.Control{ldap.NewControlString(wire.OIDShowDeleted, true, "")}
		}
		return c.Search(q)
	}
	reader := dial(t, s, adReader, "reads")
	if r, err := deleted(reader, false); err != nil || len(r.Entries) != 0 {
		t.Errorf("without the control: %v, %v", r, err)
	}
	if r, err := deleted(dial(t, s, "CN=Bo,"+adStaff, "pw"), true); err != nil || names(r) != "Deleted Objects" {
		t.Errorf("somebody who may not: %v, %v", r, err)
	}
	r, err := deleted(reader, true)
	try(t, err)
	if len(r.Entries) != 2 {
		t.Fatalf("%v", r.Entries)
	}
	e := r.Entries[1]
	if e.DN != `CN=Anna\0ADEL:`+guidText(anna.UUID)+",CN=Deleted Objects,DC=example,DC=org" || e.GetAttributeValue("cn") != "Anna\nDEL:"+guidText(anna.UUID) ||
		e.GetAttributeValue("lastKnownParent") != adStaff || e.GetAttributeValue("sAMAccountName") != "anna" || e.GetAttributeValue("mail") != "" ||
		e.GetAttributeValue("isRecycled") != "TRUE" || e.GetAttributeValue("memberOf") != "" || string(e.GetRawAttributeValue("objectGUID")) != string(anna.UUID[:]) {
		t.Errorf("the tombstone is %s", e.DN)
		e.PrettyPrint(1)
	}
	if s.Tree.ByUUID(anna.UUID).Changed <= anna.Changed {
		t.Error("the tombstone has the old USN")
	}

	admin := dial(t, s, adAdmin, "Passw0rd!")
	m := ldap.NewModifyRequest(e.DN, []ldap.Control{ldap.NewControlString(wire.OIDShowDeleted, true, "")})
	m.Delete("isDeleted", nil)
	m.Replace("distinguishedName", []string{"CN=Anna," + adStaff})
	try(t, admin.Modify(m))
	back := s.Tree.Find("CN=Anna," + adStaff)
	if back == nil || back.UUID != anna.UUID || back.First("isDeleted") != "" || back.First("cn") != "Anna" || back.First("name") != "Anna" {
		t.Errorf("brought back is %+v", back)
	}

	bin := forest(t, &ActiveDirectory{RecycleBin: true, Replicators: []string{adReader}}, Options{})
	try(t, bin.Tree.Delete("CN=Anna,"+adStaff))
	if r, err := deleted(dial(t, bin, adReader, "reads"), true); err != nil || r.Entries[1].GetAttributeValue("mail") != "anna@example.org" {
		t.Errorf("with the recycle bin: %v, %v", r, err)
	}
}

func TestWritingToActiveDirectory(t *testing.T) {
	config, ca := certificate(t)
	s := forest(t, &ActiveDirectory{}, Options{TLS: config})
	t.Setenv("LDAPTLS_CACERT", ca)
	change := `dn: CN=Di,OU=Staff,DC=example,DC=org
changetype: add
objectClass: user
unicodePwd:: IgBzAGUAYwByAGUAdAAiAA==
`
	if out, status := tool(t, change, "ldapmodify", "-x", "-H", s.URL, "-D", adAdmin, "-w", "Passw0rd!"); status != 53 {
		t.Errorf("a password in the clear: %d %s", status, out)
	}
	if out, status := tool(t, change, "ldapmodify", "-x", "-H", s.TLSURL, "-D", adAdmin, "-w", "Passw0rd!"); status != 0 {
		t.Errorf("with TLS: %d %s", status, out)
	}
	if out, status := tool(t, "", "ldapwhoami", "-x", "-H", s.URL, "-D", "di@example.org", "-w", "secret"); status != 0 || strings.TrimSpace(out) != `u:EXAMPLE\Di` {
		t.Errorf("ldapwhoami: %d %s", status, out)
	}
	admin := dial(t, s, adAdmin, "Passw0rd!")
	m := ldap.NewModifyRequest("CN=Sales,"+adStaff, []ldap.Control{ldap.NewControlString(wire.OIDPermissive, true, "")})
	m.Add("member", []string{"CN=Anna," + adStaff, "CN=Di," + adStaff})
	m.Delete("member", []string{"CN=Nobody," + adStaff})
	try(t, admin.Modify(m))
	if n := len(s.Tree.Find("CN=Sales," + adStaff).Get("member")); n != 3 {
		t.Errorf("the group has %d members", n)
	}
	m.Controls = nil
	if err := admin.Modify(m); code(err) != 20 {
		t.Errorf("a member twice: %v", err)
	}
	try(t, admin.Del(ldap.NewDelRequest(adStaff, []ldap.Control{ldap.NewControlString(wire.OIDTreeDelete, true, "")})))
	if s.Tree.Find("CN=Anna,"+adStaff) != nil || s.Tree.Find(adStaff) != nil {
		t.Error("something is left of the OU")
	}
	if err := dial(t, s, adReader, "reads").Del(ldap.NewDelRequest(adReader, nil)); code(err) != 50 {
		t.Errorf("a reader writes: %v", err)
	}
}

func TestAnotherDomainControllerAndAGlobalCatalog(t *testing.T) {
	p := &ActiveDirectory{}
	s := forest(t, p, Options{})
	two := start(t, Options{Personality: p.Another("dc2", 900000), Tree: s.Tree})
	root := func(s *Server) *ldap.Entry {
		q := ask("", "(objectClass=*)")
		q.Scope = ldap.ScopeBaseObject
		r, err := dial(t, s, "", "").Search(q)
		try(t, err)
		return r.Entries[0]
	}
	one, other := root(s), root(two)
	if one.GetAttributeValue("dsServiceName") == other.GetAttributeValue("dsServiceName") || other.GetAttributeValue("highestCommittedUSN") != fmt.Sprint(900000+s.Tree.Number()) {
		t.Errorf("the second says %v", other.Attributes)
	}
	id := func(s *Server, root *ldap.Entry) string {
		r, err := dial(t, s, adReader, "reads").Search(ask(root.GetAttributeValue("dsServiceName"), "(objectClass=*)", "invocationId"))
		try(t, err)
		return r.Entries[0].GetAttributeValue("invocationId")
	}
	if id(s, one) == id(two, other) {
		t.Error("both have one invocationId")
	}

	gc := start(t, Options{Personality: p.GlobalCatalog(), Tree: s.Tree})
	c := dial(t, gc, adReader, "reads")
	try(t, s.Tree.Modify("CN=Anna,"+adStaff, tree.Replace("title", "Boss")))
	r, err := c.Search(ask("", "(|(cn=Anna)(cn=Sales)(cn=DC1))"))
	try(t, err)
	if names(r) != "Anna DC1 Sales" || len(r.Referrals) != 0 {
		t.Errorf("the whole forest holds %s, %q", names(r), r.Referrals)
	}
	for _, e := range r.Entries {
		if e.GetAttributeValue("title") != "" || len(e.GetAttributeValues("member")) != 0 || len(e.GetAttributeValues("memberOf")) != 0 {
			t.Errorf("%s shows %v", e.DN, e.Attributes)
		}
	}
	if err := dial(t, gc, adAdmin, "Passw0rd!").Del(ldap.NewDelRequest("CN=Anna,"+adStaff, nil)); code(err) != 53 {
		t.Errorf("written to: %v", err)
	}
}
