// Package browser drives a real browser: Chromium without a window, by Playwright,
// with axe to look for what keeps people out. It hands what a script prints on to
// the test that started it.
package browser

import (
	"context"
	"embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"rollcall.dev/rollcall/internal/rig/npm"
)

// The npm packages, pinned. playwright-core brings no browser of its own: the one
// of the system is used.
const (
	playwright = "playwright-core@1.64.1"
	axe        = "axe-core@4.11.0"
)

//go:embed lib.mjs
var files embed.FS

// Run runs a script (an .mjs file that may import ./lib.mjs and what lies beside
// it) with node. Lines it
// prints go to out; an error says how it ended. Environment variables are added to
// those of this process.
func Run(ctx context.Context, script string, out io.Writer, env ...string) error {
	dir, err := installed(ctx)
	if err != nil {
		return err
	}
	beside, err := filepath.Glob(filepath.Join(filepath.Dir(script), "*.mjs"))
	if err != nil {
		return err
	}
	lib, err := files.ReadFile("lib.mjs")
	if err != nil {
		return err
	}
	here, err := os.MkdirTemp(dir, "run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(here) //nolint:errcheck // it is in a cache
	texts := map[string][]byte{"lib.mjs": lib}
	for _, name := range beside {
		if texts[filepath.Base(name)], err = os.ReadFile(name); err != nil { //nolint:gosec // scripts of the test's own
			return err
		}
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(here, name), text, 0o600); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "node", filepath.Base(script)) //nolint:gosec // see above
	cmd.Dir, cmd.Stdout, cmd.Stderr = here, out, out
	cmd.Env = append(append(os.Environ(), "CHROMIUM="+chromium()), env...)
	return cmd.Run()
}

// chromium is where the browser is.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// installed is a folder of the user's cache with the packages in it.
func installed(ctx context.Context) (dir string, err error) {
	if chromium() == "" {
		return "", fmt.Errorf("browser: there is no chromium; `scripts/install-tools.sh chromium node` installs it")
	}
	return npm.Folder(ctx, playwright, axe)
}
