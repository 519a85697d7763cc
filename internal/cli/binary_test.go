package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binary builds the program once for all tests that need a process of their own.
func binary(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var built string

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rollcall-cli-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "rollcall")
	cmd := exec.Command("go", "build", "-o", path, "rollcall.dev/rollcall/cmd/rollcall")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped, and as the linters have compiled it
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(err, fmt.Errorf("%s", out))
	}
	return path, nil
})

func cleanUp() {
	if built != "" {
		if err := os.RemoveAll(built); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}
