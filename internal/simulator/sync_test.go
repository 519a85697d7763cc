package simulator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/simulator/tree"
)

// synced is what a sync brought: lines such as "add anna", "gone bo" (a
// SyncIdSet that deletes), "present cy", and the end.
type synced struct {
	lines  []string
	cookie string
	err    error
	attrs  []string // of the last entry
}

// syncNow does a refreshOnly.
func syncNow(t *testing.T, s *Server, c *ldap.Conn, q *ldap.SearchRequest, cookie string) *synced {
	t.Helper()
	var sent []byte
	if cookie != "" {
		sent = []byte(cookie)
	}
	r := c.Syncrepl(t.Context(), q, 0, ldap.SyncRequestModeRefreshOnly, sent, false)
	out := &synced{}
	for r.Next() {
		out.take(s, r)
	}
	out.err = r.Err()
	return out
}

var gone = map[[16]byte]string{} // names of deleted entries

func nameOf(s *Server, id [16]byte) string {
	e := s.Tree.ByUUID(id)
	if e == nil {
		return gone[id]
	}
	_, name, _ := strings.Cut(strings.Split(e.DN, ",")[0], "=")
	return name
}

func (o *synced) take(s *Server, r ldap.Response) {
	if e := r.Entry(); e != nil {
		state := ldap.FindControl(r.Controls(), ldap.ControlTypeSyncState)
		if state == nil {
			o.lines = append(o.lines, "stateless "+e.DN)
			return
		}
		st := state.(*ldap.ControlSyncState)
		o.lines = append(o.lines, []string{"present", "add", "modify", "delete"}[st.State]+" "+nameOf(s, st.EntryUUID))
		if len(st.Cookie) > 0 {
			o.cookie = string(st.Cookie)
		}
		o.attrs = nil
		for _, a := range e.Attributes {
			o.attrs = append(o.attrs, a.Name)
		}
		return
	}
	for _, c := range r.Controls() {
		switch c := c.(type) {
		case *ldap.ControlSyncInfo:
			switch c.Value {
			case ldap.SyncInfoSyncIdSet:
				what := map[bool]string{true: "gone", false: "present"}[c.SyncIdSet.RefreshDeletes]
				var list []string
				for _, id := range c.SyncIdSet.SyncUUIDs {
					list = append(list, what+" "+nameOf(s, id))
				}
				slices.Sort(list)
				o.lines = append(o.lines, list...)
			case ldap.SyncInfoRefreshDelete:
				o.lines, o.cookie = append(o.lines, fmt.Sprintf("refreshDelete %v", c.RefreshDelete.RefreshDone)), string(c.RefreshDelete.Cookie)
			case ldap.SyncInfoRefreshPresent:
				o.lines, o.cookie = append(o.lines, fmt.Sprintf("refreshPresent %v", c.RefreshPresent.RefreshDone)), string(c.RefreshPresent.Cookie)
			default:
				o.lines = append(o.lines, fmt.Sprintf("info %v", c.Value))
			}
		case *ldap.ControlSyncDone:
			o.lines, o.cookie = append(o.lines, fmt.Sprintf("done %v", c.RefreshDeletes)), string(c.Cookie)
		}
	}
}

func (o *synced) is(t *testing.T, what string, want ...string) {
	t.Helper()
	if o.err != nil || !slices.Equal(o.lines, want) {
		t.Errorf("%s: got %q, %v\nwant %q", what, o.lines, o.err, want)
	}
}

func remove(t *testing.T, s *Server, dn string) {
	t.Helper()
	e := s.Tree.Find(dn)
	gone[e.UUID] = strings.TrimPrefix(strings.Split(e.DN, ",")[0], "uid=")
	try(t, s.Tree.Delete(dn))
}

func persons() *ldap.SearchRequest {
	return ask(people, "(&(objectClass=inetOrgPerson)(mail=*))", "uid", "mail")
}

func TestSyncAsOpenLDAPDoesIt(t *testing.T) {
	s := staff(t, Options{})
	c := dial(t, s, "uid=cy,"+people, "pw-cy")
	first := syncNow(t, s, c, persons(), "")
	first.is(t, "without a cookie", "add anna", "add bo", "add cy", "done true")
	if !strings.HasPrefix(first.cookie, "rid=000,csn=20") {
		t.Errorf("the cookie is %q", first.cookie)
	}
	// The groups came last; the people are older than the cookie.
	syncNow(t, s, c, persons(), first.cookie).is(t, "nothing new", "done true")
	try(t, s.Tree.Modify("uid=bo,"+people, tree.Replace("title", "Boss")))
	second := syncNow(t, s, c, persons(), first.cookie)
	second.is(t, "one changed", "add bo", "done true")
	syncNow(t, s, c, persons(), second.cookie).is(t, "the last change is sent again", "add bo", "done true")

	try(t, s.Tree.Rename("uid=anna,"+people, "uid=ann", true, nil))
	remove(t, s, "uid=bo,"+people)
	try(t, s.Tree.Modify("uid=cy,"+people, tree.Minus("mail")))
	third := syncNow(t, s, c, persons(), second.cookie)
	third.is(t, "renamed, deleted and out of the filter", "gone bo", "gone cy", "add ann", "done true")

	groups := ask("ou=groups,dc=example,dc=org", "(cn=all)")
	if r := syncNow(t, s, c, groups, second.cookie); slices.Contains(r.lines, "add all") {
		t.Errorf("a group that lost a member by its deletion is told of: %q", r.lines)
	}

	try(t, s.Tree.Modify("uid=cy,"+people, tree.Replace("mail", "cy@example.org")))
	s.Forget()
	syncNow(t, s, c, persons(), second.cookie).is(t, "the session log is gone", "add ann", "add cy", "done false")
	syncNow(t, s, c, persons(), third.cookie).is(t, "and only cy is new", "add cy", "present ann", "done false")

	syncNow(t, s, c, persons(), "rid=000,csn=20010101000000.000000Z#000000#000#000000").is(t, "a very old cookie", "add ann", "add cy", "done false")
	syncNow(t, s, c, persons(), strings.Replace(third.cookie, "#000#", "#007#", 1)).is(t, "the cookie of another server", "add ann", "add cy", "done false")
	syncNow(t, s, c, persons(), "nonsense").is(t, "an unreadable cookie", "add ann", "add cy", "done true")
	if r := syncNow(t, s, c, persons(), "rid=000,csn=29990101000000.000000Z#000000#000#000000"); code(r.err) != 53 || !strings.Contains(r.err.Error(), "consumer state is newer than provider!") {
		t.Errorf("a cookie from the future: %q, %v", r.lines, r.err)
	}
}

func TestManyPresentEntriesComeInSetsOf256(t *testing.T) {
	s := start(t, Options{Personality: &OpenLDAP{SizeLimit: -1}})
	for i := range 600 {
		must[*tree.Entry](t)(s.Tree.Add(fmt.Sprintf("uid=p%03d,%s", i, people), "objectClass", "inetOrgPerson", "mail", "x"))
	}
	c := dial(t, s, "cn=admin,dc=example,dc=org", "secret")
	cookie := syncNow(t, s, c, persons(), "").cookie
	try(t, s.Tree.Modify("uid=p599,"+people, tree.Replace("mail", "y")))
	s.Forget()
	r := c.Syncrepl(t.Context(), persons(), 0, ldap.SyncRequestModeRefreshOnly, []byte(cookie), false)
	var sizes []int
	for r.Next() {
		for _, x := range r.Controls() {
			if info, ok := x.(*ldap.ControlSyncInfo); ok {
				sizes = append(sizes, len(info.SyncIdSet.SyncUUIDs))
			}
		}
	}
	if !slices.Equal(sizes, []int{256, 256, 87}) {
		t.Errorf("the sets are of %v", sizes)
	}
}

func TestTheSizeLimitHoldsForSyncsToo(t *testing.T) {
	s := staff(t, Options{Personality: &OpenLDAP{SizeLimit: 2}})
	c := dial(t, s, "uid=cy,"+people, "pw-cy")
	if r := syncNow(t, s, c, persons(), ""); len(r.lines) != 2 || r.cookie != "" {
		t.Errorf("%q, %v", r.lines, r.err)
	}
	r, err := c.Search(ask(people, "(uid=*)", "uid"))
	if code(err) != 4 || len(r.Entries) != 2 {
		t.Errorf("a plain search: %v", err)
	}
	admin := dial(t, s, "cn=admin,dc=example,dc=org", "secret")
	syncNow(t, s, admin, persons(), "").is(t, "the administrator", "add anna", "add bo", "add cy", "done true")
	paged := ldap.NewControlPaging(1)
	for i, want := range []int{0, 0, 4} {
		q := ask(people, "(uid=*)", "uid")
		q.Controls = []ldap.Control{paged}
		r, err := c.Search(q)
		if code(err) != want {
			t.Fatalf("page %d: %v", i+1, err)
		}
		if err == nil {
			paged.SetCookie(ldap.FindControl(r.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging).Cookie)
		}
	}
}

// staying is a search that lasts.
type staying struct {
	t *testing.T
	s *Server
	r ldap.Response
	o synced
}

// await reads until n more lines have come.
func (p *staying) await(n int, what string, want ...string) {
	p.t.Helper()
	from := len(p.o.lines)
	for len(p.o.lines) < from+n && p.r.Next() {
		p.o.take(p.s, p.r)
	}
	if !slices.Equal(p.o.lines[from:], want) {
		p.t.Errorf("%s: got %q, want %q (%v)", what, p.o.lines[from:], want, p.r.Err())
	}
}

func stay(t *testing.T, s *Server, c *ldap.Conn, q *ldap.SearchRequest) *staying {
	t.Helper()
	c.SetTimeout(time.Minute)
	return &staying{t: t, s: s, r: c.Syncrepl(t.Context(), q, 0, ldap.SyncRequestModeRefreshAndPersist, nil, false)}
}

func TestChangesArriveAsTheyHappen(t *testing.T) {
	for _, x := range []struct {
		name   string
		kind   Personality
		out    []string // what is told of somebody who leaves the filter
		rename string
	}{
		{"OpenLDAP", &OpenLDAP{}, []string{"delete cy"}, "modify ann"},
		{"389 DS", &DS389{}, nil, "modify ann"},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := staff(t, Options{Personality: x.kind})
			p := stay(t, s, dial(t, s, "uid=cy,"+people, "pw-cy"), persons())
			p.await(4, "refresh", "add anna", "add bo", "add cy", "refreshDelete true")
			try(t, s.Tree.Modify("uid=bo,"+people, tree.Replace("title", "Boss")))
			p.await(1, "changed", "modify bo")
			must[*tree.Entry](t)(s.Tree.Add("uid=di,"+people, "objectClass", "inetOrgPerson", "mail", "d"))
			p.await(1, "added", "add di")
			try(t, s.Tree.Rename("uid=anna,"+people, "uid=ann", true, nil))
			p.await(1, "renamed", x.rename)
			try(t, s.Tree.Modify("uid=cy,"+people, tree.Minus("mail")))
			p.await(len(x.out), "out of the filter", x.out...)
			remove(t, s, "uid=di,"+people)
			p.await(1, "deleted", "delete di")
			if p.o.cookie == "" {
				t.Error("no cookie came with the changes")
			}
		})
	}
}

func TestSyncAs389DSDoesIt(t *testing.T) {
	s := staff(t, Options{Personality: &DS389{}})
	c := dial(t, s, "uid=cy,"+people, "pw-cy")
	first := syncNow(t, s, c, persons(), "")
	first.is(t, "without a cookie", "add anna", "add bo", "add cy", "done false")
	if !slices.Equal(first.attrs, []string{"mail", "uid"}) {
		t.Errorf("the first time come %q", first.attrs)
	}
	try(t, s.Tree.Modify("uid=bo,"+people, tree.Replace("title", "Boss")))
	try(t, s.Tree.Modify("uid=cy,"+people, tree.Minus("mail")))
	remove(t, s, "uid=anna,"+people)
	must[*tree.Entry](t)(s.Tree.Add("uid=di,"+people, "objectClass", "inetOrgPerson", "mail", "d", "sn", "Dahl"))
	second := syncNow(t, s, c, persons(), first.cookie)
	second.is(t, "changed, deleted, added, and out of the filter", "gone anna", "modify bo", "add di", "done false")
	if len(second.attrs) < 4 {
		t.Errorf("a delta brings no more than %q", second.attrs)
	}
	groups := func() *ldap.SearchRequest { return ask("ou=groups,dc=example,dc=org", "(cn=*)") }
	from := syncNow(t, s, c, groups(), "").cookie
	remove(t, s, "uid=bo,"+people)
	if r := syncNow(t, s, c, groups(), from); !slices.Contains(r.lines, "modify all") {
		t.Errorf("a group that lost a member by its deletion: %q", r.lines)
	}
	for name, r := range map[string]*synced{
		"garbage":         syncNow(t, s, c, persons(), "nonsense"),
		"another filter":  syncNow(t, s, c, ask(people, "(uid=*)", "uid"), first.cookie),
		"another base":    syncNow(t, s, c, ask("dc=example,dc=org", "(&(objectClass=inetOrgPerson)(mail=*))", "uid"), first.cookie),
		"another account": syncNow(t, s, dial(t, s, "cn=Directory Manager", "secret"), persons(), first.cookie),
		"the future":      syncNow(t, s, c, persons(), first.cookie+"9999"),
	} {
		if code(r.err) != 4096 {
			t.Errorf("%s: %q, %v", name, r.lines, r.err)
		}
	}
	s.Forget()
	if r := syncNow(t, s, c, persons(), first.cookie); code(r.err) != 4096 {
		t.Errorf("a changelog that was trimmed: %q, %v", r.lines, r.err)
	}
}

func TestWhat389DSIsLikeBesides(t *testing.T) {
	s := staff(t, Options{Personality: &DS389{}})
	c := dial(t, s, "cn=Directory Manager", "secret")
	r, err := c.Search(ask(people, "(uid=anna)", "nsUniqueId", "entryUUID", "memberOf"))
	try(t, err)
	e := r.Entries[0]
	u := s.Tree.Find("uid=anna," + people).UUID
	if id := e.GetAttributeValue("nsUniqueId"); strings.ReplaceAll(id, "-", "") != fmt.Sprintf("%x", u) || len(strings.Split(id, "-")) != 4 {
		t.Errorf("nsUniqueId is %s", id)
	}
	if e.GetAttributeValue("entryUUID") == tree.FormatUUID(u) {
		t.Error("entryUUID is nsUniqueId")
	}
	if got := e.GetAttributeValues("memberOf"); len(got) != 2 {
		t.Errorf("memberOf is %q", got)
	}
	was := s.Tree.Find("uid=cy," + people).Changed
	try(t, s.Tree.Modify("cn=all,ou=groups,dc=example,dc=org", tree.Plus("member", "uid=cy,"+people)))
	if s.Tree.Find("uid=cy,"+people).Changed == was {
		t.Error("who comes into a group is not stamped")
	}
	try(t, s.Tree.Modify("uid=bo,"+people, tree.Replace("nsAccountLock", "true")))
	for _, password := range []string{"pw-bo", "wrong"} {
		if err := dial(t, s, "", "").Bind("uid=bo,"+people, password); code(err) != 53 || !strings.Contains(err.Error(), "Account inactivated") {
			t.Errorf("a locked account: %v", err)
		}
	}
	q := ask(people, "(uid=*)", "uid")
	paged := ldap.NewControlPaging(2)
	q.Controls = []ldap.Control{paged}
	one, err := c.Search(q)
	try(t, err)
	paged.SetCookie(ldap.FindControl(one.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging).Cookie)
	again, err := dial(t, s, "cn=Directory Manager", "secret").Search(q)
	if err != nil || names(again) != names(one) {
		t.Errorf("the page cookie of another connection brings %q, %v", names(again), err)
	}
	// Not only changes are asked for: once the first has come, the server listens.
	q = ask(people, "(uid=*)", "uid")
	q.Controls = []ldap.Control{ldap.NewControlString("2.16.840.1.113730.3.4.3", true, "\x30\x09\x02\x01\x0f\x01\x01\x00\x01\x01\xff")}
	p := c.SearchAsync(t.Context(), q, 0)
	for range 3 {
		p.Next()
	}
	try(t, s.Tree.Modify("uid=cy,"+people, tree.Replace("title", "T")))
	if !p.Next() || p.Entry() == nil || !strings.HasPrefix(p.Entry().DN, "uid=cy") || ldap.FindControl(p.Controls(), "2.16.840.1.113730.3.4.7") == nil {
		t.Errorf("a persistent search tells of %v with %v, %v", p.Entry(), p.Controls(), p.Err())
	}
}
