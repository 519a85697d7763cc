// Package npm installs packages of the npm registry, pinned, into a folder of the
// user's cache, and hands that on to the rigs that run them with node.
package npm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Folder is a folder with packages (name@version) in its node_modules. Nothing of
// theirs is run while they are installed.
func Folder(ctx context.Context, packages ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	all := filepath.Join(cache, "rollcall-npm")
	dir := filepath.Join(all, strings.NewReplacer("@", "-", "/", "-").Replace(strings.Join(packages, "+")))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(all, 0o700); err != nil {
		return "", err
	}
	// Several may do this at once: who is first gives it its name.
	fresh, err := os.MkdirTemp(all, "new-")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "npm", append([]string{"install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"}, packages...)...) //nolint:gosec // names of our own
	cmd.Dir = fresh
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("npm install (`scripts/install-tools.sh node` installs npm): %w\n%s", err, text), os.RemoveAll(fresh))
	}
	if err := os.Rename(fresh, dir); err != nil {
		err = errors.Join(err, os.RemoveAll(fresh))
		if _, there := os.Stat(dir); there != nil {
			return "", err
		}
	}
	return dir, nil
}
