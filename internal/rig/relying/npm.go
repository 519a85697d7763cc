// Package relying is other people's parties of OpenID Connect: npm's openid-client,
// Apache with mod_auth_openidc, and npm's oidc-provider, a certified provider whose
// answers are the reference for ours. It hands what each of them saw on to the tests
// that start them.
package relying

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// The npm packages, pinned.
const (
	party     = "openid-client@6.8.9"
	reference = "oidc-provider@9.13.3"
)

//go:embed *.mjs
var scripts embed.FS

var once = sync.OnceValues(installed)

// Party has openid-client sign somebody in at a provider, ask all that it can, and
// sign out. in is what it goes by (see party.mjs); out gets what it saw.
func Party(ctx context.Context, in, out any) error { return run(ctx, "party.mjs", in, out) }

// Look asks a provider everything, the good and the bad, and gives what it answered
// (see look.mjs). With an empty issuer it is the reference, started for it.
func Look(ctx context.Context, in, out any) error { return run(ctx, "look.mjs", in, out) }

func run(ctx context.Context, script string, in, out any) error {
	dir, err := once()
	if err != nil {
		return err
	}
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "node", filepath.Join(dir, script))
	var said, failed bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, bytes.NewReader(text), &said, &failed
	cmd.Env = append(os.Environ(), "NODE_NO_WARNINGS=1")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("relying: %s: %w\n%s%s", script, err, said.Bytes(), failed.Bytes())
	}
	return json.Unmarshal(said.Bytes(), out)
}

// installed is a folder of the user's cache with the packages in it, and our scripts
// as they are now.
func installed() (dir string, err error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", errors.New("relying: there is no npm; `scripts/install-tools.sh node` installs it")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(cache, "rollcall-relying", strings.NewReplacer("@", "-", "/", "-").Replace(party+"-"+reference))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if _, gone := os.Stat(filepath.Join(dir, "node_modules", "oidc-provider")); gone != nil {
		cmd := exec.Command("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save", party, reference)
		cmd.Dir = dir
		if text, failed := cmd.CombinedOutput(); failed != nil {
			return "", fmt.Errorf("relying: npm install: %w\n%s", failed, text)
		}
	}
	list, err := scripts.ReadDir(".")
	if err != nil {
		return "", err
	}
	for _, f := range list {
		text, err := scripts.ReadFile(f.Name())
		if err != nil {
			return "", err
		}
		// Put in place whole: other tests may be running it.
		temporary := filepath.Join(dir, fmt.Sprintf("%s.%d", f.Name(), os.Getpid()))
		if err := errors.Join(os.WriteFile(temporary, text, 0o600), os.Rename(temporary, filepath.Join(dir, f.Name()))); err != nil {
			return "", err
		}
	}
	return dir, nil
}
