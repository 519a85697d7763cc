package okta

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

func keys(t *testing.T) (pkcs8, sec1, jwk, public, small string) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	text := func(kind string, der []byte, err error) string {
		must(err)
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(long)
	pkcs8 = text("PRIVATE KEY", der, err)
	der, err = x509.MarshalECPrivateKey(ec)
	sec1 = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + text("EC PRIVATE KEY", der, err)
	b, err := json.Marshal(jose.JSONWebKey{Key: long, KeyID: "kidInside"})
	must(err)
	p, err := json.Marshal(jose.JSONWebKey{Key: long.Public(), KeyID: "kidInside"})
	must(err)
	return pkcs8, sec1, string(b), string(p), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
}

func TestSettings(t *testing.T) {
	pkcs8, sec1, jwk, public, broken := keys(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte(pkcs8), 0o600); err != nil {
		t.Fatal(err)
	}
	const at = "https://example.okta.com"
	for _, c := range []struct {
		name string
		set  setting.Values
		want string // in error or hint; "" is well
	}{
		{"a token", setting.Values{"url": at, "token": "00abc"}, ""},
		{"an address without https://", setting.Values{"url": "example.okta.com/", "token": "00abc"}, ""},
		{"a key as PKCS 8", setting.Values{"url": at, "client_id": "0oa", "key": pkcs8, "key_id": "K"}, ""},
		{"a key behind its curve", setting.Values{"url": at, "client_id": "0oa", "key": sec1, "key_id": "K"}, ""},
		{"a JWK with its ID in it", setting.Values{"url": at, "client_id": "0oa", "key": jwk}, ""},
		{"a file from the folder of the configuration on", setting.Values{"url": at, "client_id": "0oa", "key_file": "key.pem", "key_id": "K"}, ""},
		{"no key ID", setting.Values{"url": at, "client_id": "0oa", "key": pkcs8}, "set key_id"},
		{"the public key", setting.Values{"url": at, "client_id": "0oa", "key": public}, "the private one is wanted"},
		{"a broken key", setting.Values{"url": at, "client_id": "0oa", "key": broken, "key_id": "K"}, "not a private RSA or EC key"},
		{"no file", setting.Values{"url": at, "client_id": "0oa", "key_file": "none.pem", "key_id": "K"}, "key_file"},
		{"no key", setting.Values{"url": at, "client_id": "0oa"}, "Okta takes no client secret"},
		{"two keys", setting.Values{"url": at, "client_id": "0oa", "key": jwk, "key_file": "key.pem"}, "keep one"},
		{"nothing to sign in with", setting.Values{"url": at}, "neither token nor client_id"},
		{"both", setting.Values{"url": at, "token": "00abc", "client_id": "0oa", "key": jwk}, "keep one"},
		{"no address", setting.Values{"token": "00abc"}, "https://example.okta.com"},
		{"plain http", setting.Values{"url": "http://example.okta.com", "token": "00abc"}, "only https"},
		{"a path behind the address", setting.Values{"url": at + "/api/v1", "token": "00abc"}, "write https://example.okta.com"},
		{"the administration's address", setting.Values{"url": "https://example-admin.okta.com", "token": "00abc"}, "https://example.okta.com"},
		{"an application without people: app", setting.Values{"url": at, "token": "00abc", "app": "0oa"}, "set people to app"},
		{"people: app without one", setting.Values{"url": at, "token": "00abc", "people": "app"}, "set app"},
		{"not an expression", setting.Values{"url": at, "token": "00abc", "groups.include": "("}, "groups.include"},
		{"a share of nothing", setting.Values{"url": at, "token": "00abc", "rate_share": 0}, "rate_share"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, err := Kind.Open(c.set, source.Env{Dir: dir})
			if c.want == "" {
				if err != nil {
					t.Fatalf("%v (%s)", err, fault.HintOf(err))
				}
				_ = src.Close()
				return
			}
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error()+fault.HintOf(err), c.want) {
				t.Errorf("%v (%s), want %s", err, fault.HintOf(err), c.want)
			}
			for _, secret := range []string{"00abc", "MII", `"d":`} {
				if err != nil && strings.Contains(err.Error()+fault.HintOf(err), secret) {
					t.Errorf("%v holds the secret", err)
				}
			}
		})
	}
}

func TestTheNextPageIsFoundInLinkHeaders(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
		bad   bool
	}{
		{"none", nil, "", false},
		{"a line each", []string{`<https://x/a>; rel="self"`, `<https://x/a?after=1>; rel="next"`}, "https://x/a?after=1", false},
		{"both in one line", []string{`<https://x/a>; rel="self", <https://x/a?after=1,2;3>; rel="next"`}, "https://x/a?after=1,2;3", false},
		{"without quotes, other parameters and several relations", []string{`<https://x/b>; title="a, b; <c>"; rel=prev , <https://x/c>;REL="last next"`}, "https://x/c", false},
		{"the last page", []string{`<https://x/a>; rel="self"`}, "", false},
		{"twice the same", []string{`<u>; rel=next`, `<u>; rel="next"`}, "u", false},
		{"two different ones", []string{`<u>; rel=next`, `<v>; rel="next"`}, "", true},
		{"cut off", []string{`<https://x/a?after=`}, "", true},
		{"nowhere", []string{`<>; rel="next"`}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := next(http.Header{"Link": c.lines})
			if got != c.want || (err != nil) != c.bad {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func FuzzLink(f *testing.F) {
	f.Add(`<https://x/a>; rel="self", <https://x/a?after=1>; rel="next"`)
	f.Add(`<a>;;;rel;rel=next;"`)
	f.Fuzz(func(t *testing.T, line string) {
		got, err := next(http.Header{"Link": {line}})
		if err == nil && got != "" && !strings.Contains(line, "<"+got+">") {
			t.Errorf("%q out of %q", got, line)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(`{"id":"00u1","status":"ACTIVE","profile":{"login":"a@b.c","x":[1,true,null,{"y":2}]}}`)
	f.Add(`{"id":null}`)
	f.Add(`{"id":"x","profile":[],"type":{"id":{}}}`)
	set := &settings{manager: managerLogin}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parse(json.RawMessage(text))
		if err != nil {
			return
		}
		r, err := set.user(e, nil)
		if err == nil && (r.ID == "" || r.Ref == "" || r.Name == "") {
			t.Errorf("%+v", r)
		}
		if g := group(e, nil); g.ID == "" {
			t.Errorf("%+v", g)
		}
	})
}

func FuzzQuota(f *testing.F) {
	f.Add("600", "0", "1774000000", "Mon, 02 Mar 2026 09:00:00 GMT")
	f.Fuzz(func(t *testing.T, limit, remaining, reset, date string) {
		h := http.Header{"X-Rate-Limit-Limit": {limit}, "X-Rate-Limit-Remaining": {remaining}, "X-Rate-Limit-Reset": {reset}, "Date": {date}}
		if s, ok := readQuota(h, time.Unix(1774000000, 0)); ok && (s.wait < 0 || s.wait > longest || s.limit < 0 || s.remaining < 0) {
			t.Errorf("%+v", s)
		}
	})
}

func TestRefsCompareAsOktaDoes(t *testing.T) {
	if refer(" Anna@Example.org") != refer("anna@example.org") || refer("00u1ero7vZFVEIYLWPBN") == refer("00u1ero7vzfveiylwpbn") {
		t.Error("logins compare without case, IDs do not")
	}
}
