package cli

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// until is a place for output that calls a function when it has been told enough.
type until struct {
	mu     sync.Mutex
	b      bytes.Buffer
	words  []string
	enough func()
}

func (u *until) Write(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.b.Write(b)
	for _, w := range u.words {
		if !strings.Contains(u.b.String(), w) {
			return len(b), nil
		}
	}
	u.enough()
	return len(b), nil
}

func (u *until) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.b.String()
}

func TestTheDemonstrationDeliversWhatHappensInItsCompany(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := &until{words: []string{"directory  3 new titles, 1 joined", "webhook    account.created", "webhook    account.updated", "webhook    run.applied"}, enough: cancel}
	var err bytes.Buffer
	dir := t.TempDir()
	status := Run(ctx, []string{"demo", "--listen", "127.0.0.1:0", "--every", "1s", "--dir", dir}, IO{In: strings.NewReader(""), Out: out, Err: &err, Env: func(string) (string, bool) { return "", false }})
	if status != 0 {
		t.Fatalf("exit status %d\n%s%s", status, out, err.String())
	}
	key := regexp.MustCompile(`rk_[A-Za-z0-9]{20,}`).FindString(out.String())
	if key == "" || strings.Contains(err.String(), key) {
		t.Errorf("the key %q, and the log:\n%s", key, err.String())
	}
	if err.Len() > 0 {
		t.Errorf("warnings: %s", err.String())
	}
}
