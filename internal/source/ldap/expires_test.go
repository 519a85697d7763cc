package ldap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

func TestAClientCertificateTellsWhenItRunsOut(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2027, 3, 31, 12, 0, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: end.AddDate(-1, 0, 0), NotAfter: end}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		values setting.Values
		want   []source.Expiry
	}{
		{setting.Values{"addr": []string{"ldaps://x"}}, nil},
		{setting.Values{"addr": []string{"ldaps://x"}, "tls.cert_file": "cert.pem", "tls.key_file": "key.pem"}, []source.Expiry{{Name: "client certificate", At: end}}},
	} {
		if err := setting.Defaults(Kind.Options, c.values); err != nil {
			t.Fatal(err)
		}
		s, err := Kind.Open(c.values, source.Env{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		knows, ok := source.As[source.Expirer](s)
		if !ok {
			t.Fatal("it does not tell")
		}
		if got := knows.Expires(); len(got) != len(c.want) || len(got) > 0 && (got[0].Name != c.want[0].Name || !got[0].At.Equal(c.want[0].At)) {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
}
