// Package reference writes the generated parts of docs/ from the declarations
// of the settings, and hands on which files had to change. `make docs` writes,
// and a test fails where somebody forgot to.
package reference

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/endpoint/api"
	"rollcall.dev/rollcall/internal/source"
)

// In a page, what stands between the two marks is generated:
//
//	<!-- make docs: configuration -->
//	<!-- make docs: backend ldap -->
//	...
//	<!-- end of make docs -->
const (
	begin = "<!-- make docs: "
	end   = "<!-- end of make docs -->"
)

// Update brings docs/ below root up to date and lists the files that were not.
// With check it writes nothing.
func Update(root string, kinds []source.Kind, check bool) (stale []string, err error) {
	put := func(path string, want []byte) error {
		have, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if bytes.Equal(have, want) {
			return nil
		}
		stale = append(stale, path)
		if check {
			return nil
		}
		return os.WriteFile(path, want, 0o644)
	}
	docs := filepath.Join(root, "docs")
	if err := put(filepath.Join(docs, "rollcall.schema.json"), config.Schema(kinds)); err != nil {
		return stale, fmt.Errorf("docs: %w", err)
	}
	document, err := api.Document(kinds)
	if err == nil {
		err = put(filepath.Join(docs, "openapi.json"), document)
	}
	if err != nil {
		return stale, fmt.Errorf("docs: %w", err)
	}
	err = filepath.WalkDir(docs, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		filled, err := fill(string(text), kinds)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return put(path, []byte(filled))
	})
	if err != nil {
		return stale, fmt.Errorf("docs: %w", err)
	}
	return stale, nil
}

// fill replaces what stands between each pair of marks.
func fill(text string, kinds []source.Kind) (string, error) {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, begin)
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		what, rest, ok := strings.Cut(after, " -->\n")
		if !ok {
			return "", errors.New("a mark without its end")
		}
		_, text, ok = strings.Cut(rest, end)
		if !ok {
			return "", fmt.Errorf("%s%s --> without %s", begin, what, end)
		}
		content, err := generate(what, kinds)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "%s%s -->\n\n%s\n%s", begin, what, strings.TrimSpace(content)+"\n", end)
	}
}

func generate(what string, kinds []source.Kind) (string, error) {
	if what == "configuration" {
		return config.Reference(kinds), nil
	}
	if name, ok := strings.CutPrefix(what, "backend "); ok {
		for _, k := range kinds {
			if k.Name == name {
				return config.Options(k.Options), nil
			}
		}
	}
	return "", fmt.Errorf("there is nothing to generate for %q", what)
}
