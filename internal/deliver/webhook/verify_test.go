package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// caught is a delivery as an endpoint got it.
type caught struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// deliveries are two of them as they go over the wire: one with a secret, one
// while the secret is changed. now must be of today, verifiers compare clocks.
func deliveries(t *testing.T, h *house) (list []caught, first, second string) {
	t.Helper()
	var mu sync.Mutex
	w, first := h.endpoint(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		headers := map[string]string{}
		for k := range r.Header {
			headers[strings.ToLower(k)] = r.Header.Get(k)
		}
		list = append(list, caught{headers, string(b)})
	})
	h.tell(1)
	h.step()
	_, second, err := h.hooks.RotateSecret(t.Context(), "", w.ID, time.Hour, "x")
	h.must(err)
	h.tell(1)
	h.step()
	if len(list) != 2 {
		t.Fatalf("%d were caught", len(list))
	}
	return list, first, second
}

// today is a house whose clock goes with the world's.
func today(t *testing.T, fn func(h *house)) {
	both(t, func(h *house) {
		h.clock = time.Now()
		fn(h)
	})
}

func TestTheGoVerifierAcceptsOurSignatures(t *testing.T) {
	today(t, func(h *house) {
		list, first, second := deliveries(h.T, h)
		for _, c := range []struct {
			name   string
			got    caught
			secret string
			ok     bool
		}{
			{"one secret", list[0], first, true}, {"a secret to come", list[0], second, false},
			{"the old secret while both are valid", list[1], first, true}, {"the new secret while both are valid", list[1], second, true},
			{"another body", caught{list[0].Headers, strings.Replace(list[0].Body, "sunfix", "moonfix", 1)}, first, false},
		} {
			v, err := standardwebhooks.NewWebhook(c.secret)
			if err != nil {
				h.Fatal(err)
			}
			header := http.Header{}
			for k, s := range c.got.Headers {
				header.Set(k, s)
			}
			if err := v.Verify([]byte(c.got.Body), header); (err == nil) != c.ok {
				h.Errorf("%s: %v", c.name, err)
			}
		}
	})
}

const verifier = `
import { readFileSync } from "node:fs";
import { Webhook as Standard } from "standardwebhooks";
import { Webhook as Svix } from "svix";
for (const c of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  for (const [name, Webhook] of [["standardwebhooks", Standard], ["svix", Svix]]) {
    let ok = true;
    try { new Webhook(c.secret).verify(c.body, c.headers); } catch { ok = false; }
    console.log(name + ": " + c.name + ": " + ok);
  }
}
`

// The libraries applications use: the reference implementation for JavaScript, and
// the one of the service the rules come from. They are installed for the test.
func TestTheVerifiersOfApplicationsAcceptOurSignatures(t *testing.T) {
	dir := t.TempDir()
	command := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s\nnode and npm are needed (scripts/install-tools.sh node), and a package registry that npm can reach", name, err, out)
		}
		return string(out)
	}
	command("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "standardwebhooks@1.1.1", "svix@1.99.1")
	today(t, func(h *house) {
		list, first, second := deliveries(h.T, h)
		type question struct {
			caught
			Name   string `json:"name"`
			Secret string `json:"secret"`
		}
		forged := caught{list[0].Headers, strings.Replace(list[0].Body, "sunfix", "moonfix", 1)}
		b, err := json.Marshal([]question{{list[0], "one", first}, {list[0], "wrong", second}, {list[1], "old", first}, {list[1], "new", second}, {forged, "forged", first}})
		h.must(err)
		name := strings.ReplaceAll(h.Name(), "/", "-")
		h.must(os.WriteFile(filepath.Join(dir, name+".mjs"), []byte(verifier), 0o600))
		h.must(os.WriteFile(filepath.Join(dir, name+".json"), b, 0o600))
		cmd := exec.CommandContext(h.Context(), "node", name+".mjs", name+".json")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			h.Fatalf("%v\n%s", err, out)
		}
		got := strings.Split(strings.TrimSpace(string(out)), "\n")
		var want []string
		for _, library := range []string{"standardwebhooks", "svix"} {
			want = append(want, library+": one: true", library+": wrong: false", library+": old: true", library+": new: true", library+": forged: false")
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			h.Errorf("%s", out)
		}
	})
}

// The example of the specification's own test suites.
func TestTheSignatureOfTheSpecification(t *testing.T) {
	got, err := Sign([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want || err != nil {
		t.Errorf("%s, want %s, %v", got, want, err)
	}
	if _, err := Sign([]string{"whsec_x"}, "msg_1", time.Now(), nil); err == nil {
		t.Error("signed with a secret that is none")
	}
}
