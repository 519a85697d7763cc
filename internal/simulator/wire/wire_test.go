package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/simulator/tree"
)

// request wraps an operation into a message.
func request(op *ber.Packet, controls ...ldap.Control) []byte {
	p := ber.NewSequence("")
	p.AppendChild(integer(7))
	p.AppendChild(op)
	if len(controls) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, c := range controls {
			list.AppendChild(c.Encode())
		}
		p.AppendChild(list)
	}
	return p.Bytes()
}

// searchFor is a search as a client writes it.
func searchFor(t testing.TB, filter string) *ber.Packet {
	t.Helper()
	f, err := ldap.CompileFilter(filter)
	if err != nil {
		t.Fatal(err)
	}
	p := application(tagSearch)
	p.AppendChild(octets("dc=x"))
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, 2, ""))
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, 0, ""))
	p.AppendChild(integer(5))
	p.AppendChild(integer(6))
	p.AppendChild(boolean(true))
	p.AppendChild(f)
	list := ber.NewSequence("")
	list.AppendChild(octets("cn"))
	p.AppendChild(list)
	return p
}

func TestFiltersAreReadAsTheyAreWritten(t *testing.T) {
	for _, filter := range []string{
		"(cn=anna)", "(cn=*)", "(cn=a*b*c)", "(cn=*b*)", "(cn=a*)", "(cn=*c)", "(&(a=1)(|(b=2)(!(c=3))))", "(&)", "(|)",
		"(n>=5)", "(n<=5)", "(n~=5)", "(cn:caseExactMatch:=x)", "(:dn:2.5.13.5:=x)", "(cn:dn:=x)", "(uac:1.2.840.113556.1.4.803:=2)", `(cn=\28\2a\00\29)`, "(cn=)",
	} {
		r, err := Read(bytes.NewReader(request(searchFor(t, filter))))
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		s := r.Op.(*Search)
		if s.Filter.String() != filter || r.ID != 7 || s.Base != "dc=x" || s.Scope != tree.Sub || s.SizeLimit != 5 || s.TimeLimit != 6 || !s.TypesOnly || !reflect.DeepEqual(s.Attributes, []string{"cn"}) {
			t.Errorf("%s is read as %s: %+v", filter, s.Filter, s)
		}
	}
}

func TestControlsAreReadAsTheyAreWritten(t *testing.T) {
	paging := ldap.NewControlPaging(100)
	paging.SetCookie([]byte("x"))
	r, err := Read(bytes.NewReader(request(searchFor(t, "(cn=*)"), paging, ldap.NewControlString("1.2.3", true, ""),
		ldap.NewRequestControlDirSync(0x80000001, 10, []byte("c")), ldap.NewControlSyncRequest(ldap.SyncRequestModeRefreshAndPersist, []byte("d"), false))))
	if err != nil {
		t.Fatal(err)
	}
	if size, cookie, err := r.Control(OIDPaging).Paging(); size != 100 || cookie != "x" || err != nil {
		t.Errorf("paging %d, %q, %v", size, cookie, err)
	}
	if c := r.Control("1.2.3"); c == nil || !c.Critical || r.Control("1.2") != nil {
		t.Errorf("%+v", r.Controls)
	}
	if flags, most, cookie, err := r.Control(OIDDirSync).DirSync(); flags != 0x80000001 || most != 10 || cookie != "c" || err != nil {
		t.Errorf("DirSync %x, %d, %q, %v", flags, most, cookie, err)
	}
	if mode, cookie, err := r.Control(OIDSyncRequest).Sync(); mode != RefreshAndPersist || cookie == nil || *cookie != "d" || err != nil {
		t.Errorf("sync %d, %v, %v", mode, cookie, err)
	}
	broken := Control{OID: OIDPaging}
	for _, value := range []*string{nil, ptr(""), ptr("x"), ptr("\x30\x00"), ptr("\x30\x03\x02\x01\x05")} {
		broken.Value = value
		if _, _, err := broken.Paging(); !errors.Is(err, ErrNotLDAP) {
			t.Errorf("a control with %v: %v", value, err)
		}
	}
}

func ptr(s string) *string { return &s }

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	whole := request(searchFor(t, "(&(cn=a*b)(!(sn=x)))"), ldap.NewControlPaging(5))
	for n := range whole {
		_, err := Read(bytes.NewReader(whole[:n]))
		if n == 0 && !errors.Is(err, io.EOF) || n > 0 && err == nil {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	deep := strings.Repeat("(!", deepest+2) + "(cn=x)" + strings.Repeat(")", deepest+2)
	if _, err := Read(bytes.NewReader(request(searchFor(t, deep)))); !errors.Is(err, ErrNotLDAP) {
		t.Errorf("a filter %d deep: %v", deepest+2, err)
	}
}

// What is sent is what another implementation reads.
func TestAnswersAreReadByOthers(t *testing.T) {
	p, err := ber.DecodePacketErr(Answer(3, &Search{}, Result{Code: 10, Matched: "dc=x", Text: "why", Referrals: []string{"ldap://y"}, Controls: []Control{NewPaging(5, "c")}}))
	if err != nil {
		t.Fatal(err)
	}
	result := ldap.GetLDAPError(p)
	var e *ldap.Error
	if !errors.As(result, &e) || e.ResultCode != 10 || e.MatchedDN != "dc=x" || !strings.Contains(e.Error(), "why") {
		t.Errorf("the result is %v", result)
	}
	c, err := ldap.DecodeControl(p.Children[2].Children[0])
	if err != nil || string(c.(*ldap.ControlPaging).Cookie) != "c" {
		t.Errorf("the control is %v, %v", c, err)
	}
	if b := boolean(true).Bytes(); b[2] != 0xff {
		t.Errorf("true is written % x", b) // RFC 4511, 5.1
	}
}

func FuzzRead(f *testing.F) {
	f.Add(request(searchFor(f, "(&(cn=a*b*c)(|(sn>=1)(!(cn:dn:2.5.13.2:=x))))"), ldap.NewControlPaging(5), ldap.NewControlString("1.2.3", true, "x")))
	f.Add([]byte("\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"))
	f.Add([]byte("\x30\x05\x02\x01\x02\x42\x00"))
	f.Add([]byte("\x30\x06\x02\x01\x03\x50\x01\x02"))
	f.Add([]byte("\x30\x84\x7f\xff\xff\xff"))
	f.Add([]byte("\x30\x80\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		for i := range r.Controls {
			c := &r.Controls[i]
			_, _, _ = c.Paging()
			_, _, _, _ = c.DirSync()
			_, _, _ = c.Sync()
			_, _, _, _ = c.Persist()
		}
		if s, ok := r.Op.(*Search); ok {
			if _, err := ldap.CompileFilter(s.Filter.String()); err != nil && len(s.Filter.Attr) > 0 && printable(s.Filter) {
				t.Fatalf("the filter is written %s: %v", s.Filter, err)
			}
		}
	})
}

// printable reports a filter of names that a text form has room for.
func printable(f *tree.Filter) bool {
	for _, s := range []string{f.Attr, f.Rule} {
		for _, r := range s {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
				return false
			}
		}
	}
	for _, c := range f.Children {
		if !printable(c) {
			return false
		}
	}
	return true
}
