package entra

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

// pair makes a certificate with its key: as DER, and both as PEM.
func pair(t *testing.T, until time.Time) (der []byte, text string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rollcall"}, NotBefore: until.Add(-365 * 24 * time.Hour), NotAfter: until}
	der, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// What stands in an assertion is on the page certificate-credentials of the identity platform.
func TestACertificateSignsInAsMicrosoftsPageSays(t *testing.T) {
	w := newWorld(t, nil)
	der, text := pair(t, w.clock.Now().Add(90*24*time.Hour))
	c, err := parseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	const audience = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
	now := w.clock.Now()
	seen := map[string]bool{}
	for range 3 {
		signed, err := c.assertion("app-id", audience, now)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseSignedCompact(signed, []jose.SignatureAlgorithm{jose.PS256})
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		body, err := parsed.Verify(leaf.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[0])
		if err != nil {
			t.Fatal(err)
		}
		header, claims := map[string]any{}, map[string]any{}
		if err := json.Unmarshal(raw, &header); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(body, &claims); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(der)
		if len(header) != 3 || header["alg"] != "PS256" || header["typ"] != "JWT" || header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
			t.Errorf("header %v", header)
		}
		at := float64(now.Unix())
		if claims["aud"] != audience || claims["iss"] != "app-id" || claims["sub"] != "app-id" || claims["nbf"] != at || claims["iat"] != at || claims["exp"] != at+300 {
			t.Errorf("claims %v", claims)
		}
		jti, _ := claims["jti"].(string)
		if !guid.MatchString(jti) || seen[jti] {
			t.Errorf("jti %q", jti)
		}
		seen[jti] = true
	}
}

func TestACertificateIsEnoughToReadWith(t *testing.T) {
	clock := sourcetest.NewClock()
	der, text := pair(t, clock.Now().Add(90*24*time.Hour))
	other, otherText := pair(t, clock.Now().Add(90*24*time.Hour))
	file := filepath.Join(t.TempDir(), "both.pem")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		set        setting.Values
		registered []byte
		hint       string
	}{
		{"as text", setting.Values{"client_secret": nil, "certificate": text}, der, ""},
		{"from a file", setting.Values{"client_secret": nil, "certificate_file": file}, der, ""},
		{"another than the registered one", setting.Values{"client_secret": nil, "certificate": otherText}, der, "Certificates & secrets"},
		{"none is registered", setting.Values{"client_secret": nil, "certificate": otherText}, nil, "Certificates & secrets"},
		{"its registered twin", setting.Values{"client_secret": nil, "certificate": otherText}, other, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.set)
			w.Certificate = c.registered
			w.person(1, "")
			// It ends in the middle of a reading, and each token is asked for with an assertion of its own.
			w.faults.Set(2, 1, sourcetest.Before(w.ExpireTokens))
			_, err := w.try()
			if c.hint == "" && (err != nil || w.have["p1"] == "" || len(w.Tokens()) != 2) {
				t.Errorf("%v, %d tokens", err, len(w.Tokens()))
			}
			if c.hint != "" && (fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), c.hint)) {
				t.Errorf("%v (%s)", err, fault.HintOf(err))
			}
			if err != nil && (strings.Contains(err.Error(), "PRIVATE") || strings.Contains(err.Error(), "eyJ")) {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
}

func TestTheEndOfACertificateIsTold(t *testing.T) {
	for _, c := range []struct {
		name    string
		left    time.Duration
		verdict source.Verdict
	}{{"long", 90 * 24 * time.Hour, source.OK}, {"soon", 10 * 24 * time.Hour, source.Warn}, {"over", -time.Hour, source.Fail}} {
		t.Run(c.name, func(t *testing.T) {
			until := sourcetest.NewClock().Now().Add(c.left)
			der, text := pair(t, until)
			w := newWorld(t, setting.Values{"client_secret": nil, "certificate": text})
			w.Certificate = der
			src := w.open()
			if got := src.Expires(); len(got) != 1 || !got[0].At.Equal(until) || got[0].Name != "client certificate" {
				t.Errorf("%+v", got)
			}
			var verdict source.Verdict
			src.Check(t.Context(), func(s source.Step) {
				if s.Name == "certificate" {
					verdict = s.Verdict
				}
			})
			if verdict != c.verdict {
				t.Errorf("%s, want %s", verdict, c.verdict)
			}
		})
	}
	if got := newWorld(t, nil).open().Expires(); got != nil {
		t.Errorf("of a secret nobody knows: %v", got)
	}
}

func TestAKeyThatEntraDoesNotTakeIsRefused(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	if _, err := parseCertificate(text); fault.KindOf(err) != fault.Invalid || !strings.Contains(fault.HintOf(err), "RSA") {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
}

// away gathers where requests would have gone, and gives tokens.
type away struct{ asked []string }

func (a *away) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	a.asked = append(a.asked, strings.TrimSpace(r.URL.Scheme+"://"+r.URL.Host+r.URL.Path+" "+r.PostForm.Get("scope")))
	body := `{"token_type": "Bearer", "expires_in": 3600, "access_token": "opaque"}`
	if len(a.asked) > 1 {
		body = `{}`
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// The addresses are those of graph/deployments and identity-platform/authentication-national-cloud.
func TestEachCloudIsAskedAtItsOwnAddresses(t *testing.T) {
	for cloud, want := range map[string][2]string{
		"":       {"login.microsoftonline.com", "graph.microsoft.com"},
		"global": {"login.microsoftonline.com", "graph.microsoft.com"},
		"us-gov": {"login.microsoftonline.us", "graph.microsoft.us"},
		"us-dod": {"login.microsoftonline.us", "dod-graph.microsoft.us"},
		"china":  {"login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn"},
	} {
		v := setting.Values{"tenant": "contoso.example", "client_id": "c", "client_secret": "s", "people": "all"}
		if cloud != "" {
			v["cloud"] = cloud
		}
		src, err := Kind.Open(v, source.Env{})
		if err != nil {
			t.Fatal(err)
		}
		seen, at := &away{}, src.(*tenant)
		if at.api, err = rest.New(rest.Config{Name: "entra", Root: at.set.graphURL, Auth: signer{at.tokens}, Transport: seen}); err != nil {
			t.Fatal(err)
		}
		if _, err := src.Read(t.Context(), source.Request{}, nil); err == nil {
			t.Error("read")
		}
		token, data := "https://"+want[0]+"/contoso.example/oauth2/v2.0/token https://"+want[1]+"/.default", "https://"+want[1]+"/v1.0/users/delta"
		if len(seen.asked) != 2 || seen.asked[0] != token || seen.asked[1] != data {
			t.Errorf("%s: %q, want %s and %s", cloud, seen.asked, token, data)
		}
	}
	v := setting.Values{"tenant": "t", "client_id": "c", "client_secret": "s", "cloud": "mars"}
	if _, err := Kind.Open(v, source.Env{}); err == nil {
		t.Error("a cloud that there is not is taken")
	}
}
