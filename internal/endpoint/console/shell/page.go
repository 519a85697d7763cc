package shell

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// page is a template with everything it uses.
type page struct{ tree *template.Template }

// view is what the layout and the page see. A page's own data is .Data.
type view struct {
	Title   string
	Section string
	Page    string
	Me      *Me
	Path    string
	Query   url.Values
	CSRF    string
	Said    string
	Theme   string
	Version string
	Data    any
}

// parse reads all pages: the layout and its parts, a section's parts, the page.
func (s *Shell) parse(sections []Section) error {
	own, err := fs.Sub(files, "templates")
	if err != nil {
		return err
	}
	base := template.New("").Funcs(s.functions())
	if base, err = base.ParseFS(own, "layout.html", "parts.html"); err != nil {
		return err
	}
	for _, section := range slices.Concat([]Section{{Name: "shell", Templates: own}}, sections) {
		if section.Templates == nil {
			continue
		}
		all, err := fs.Glob(section.Templates, "*.html")
		if err != nil {
			return err
		}
		parts := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !strings.HasPrefix(name, "_") })
		for _, name := range all {
			if strings.HasPrefix(name, "_") || section.Name == "shell" && (name == "layout.html" || name == "parts.html") {
				continue
			}
			tree, err := base.Clone()
			if err != nil {
				return err
			}
			if len(parts) > 0 {
				if tree, err = tree.ParseFS(section.Templates, parts...); err != nil {
					return err
				}
			}
			text, err := fs.ReadFile(section.Templates, name)
			if err != nil {
				return err
			}
			if _, err = tree.New("content").Parse(string(text)); err != nil {
				return fmt.Errorf("console: %s/%s: %w", section.Name, name, err)
			}
			s.pages[section.Name+"/"+strings.TrimSuffix(name, ".html")] = &page{tree}
		}
	}
	return nil
}

// asset is a file that browsers may keep: its address changes with its content.
type asset struct {
	body []byte
	typ  string
	hash string
}

func (s *Shell) addAssets(from fs.FS) error {
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		if _, twice := s.assets[name]; twice {
			return fmt.Errorf("console: two files are called %s", name)
		}
		sum := sha256.Sum256(body)
		s.assets[name] = asset{body, mime.TypeByExtension(path.Ext(name)), hex.EncodeToString(sum[:6])}
		return nil
	})
}

func (s *Shell) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := s.assets[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.URL.Query().Get("v") == a.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("Content-Type", a.typ)
	_, _ = w.Write(a.body) // whoever went away does not read it
}

// Assets are the names of all files, for tests.
func (s *Shell) Assets() []string { return slices.Sorted(maps.Keys(s.assets)) }
