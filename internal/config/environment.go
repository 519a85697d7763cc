package config

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/setting"
)

// environment finds variables that are meant for a key and reach none. Nobody else
// notices them: a policy with a slip in its name would simply not be there.
type environment struct {
	unread    []string // ours, set, and asked for by nothing yet
	known     []string // names that keys ask for, as far as one that is unread may mean them
	given     []string // those whose key has a value, here or in the file
	bases     []string // what the names of the items of lists begin with, one per item
	blocks    []string // what the names of keys in a block begin with
	inFile    []string // what variables of keys would be called that have none
	recording bool
}

// otherVariables are those that commands read.
var otherVariables = []string{"ROLLCALL_SERVER", "ROLLCALL_API_KEY"}

// injected are variables that Kubernetes and Docker make of services called rollcall-...
var injected = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)$`)

// address is the value of the one of them whose name is a word of ours too.
var address = regexp.MustCompile(`^(tcp|udp|sctp)://`)

// environ takes down what is set, as far as lookup knows of it.
func (d *decoder) environ(prefix string) {
	d.environment.recording = true
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case !strings.HasPrefix(name, prefix), injected.MatchString(name), strings.HasSuffix(name, "_PORT") && address.MatchString(value):
			continue
		case slices.Contains(otherVariables, name):
			continue
		}
		if _, ok := d.lookup(name); ok {
			d.environment.unread = append(d.environment.unread, name)
		}
	}
}

// look asks for a variable.
func (d *decoder) look(name string) (string, bool) {
	e := &d.environment
	e.unread = slices.DeleteFunc(e.unread, func(n string) bool { return n == name })
	return d.lookup(name)
}

// note takes a name down, where anything is left over that may mean it.
func (e *environment) note(to *[]string, name string) {
	if e.recording && len(e.unread) > 0 {
		*to = append(*to, name)
	}
}

// item begins an item of a list, whose variables begin with base. Of thousands of
// them only those are taken down for which one is set.
func (e *environment) item(base string) {
	e.bases = append(e.bases, base)
	e.recording = slices.ContainsFunc(e.unread, func(name string) bool { return strings.HasPrefix(name, base+"_") })
}

// stray notes the variables that are left over. Whatever is called as items of the
// lists are can be meant for nothing but a key; but what a file that is wrong would
// have asked for is not known.
func (d *decoder) stray(lists []string) {
	e := &d.environment
	wrong := len(d.problems) > 0
	slices.Sort(e.unread)
	for _, name := range e.unread {
		within := longest(lists, name)
		n := &node{env: name}
		switch base := longest(e.bases, name); {
		case within != "" && wrong:
		case base != "":
			d.strayBelow(n, base)
		case within != "":
			d.strayItem(n, within)
		default:
			d.strayTop(n, lists)
		}
	}
}

// longest gives the beginning of a name among several.
func longest(bases []string, name string) string {
	best := ""
	for _, b := range bases {
		if strings.HasPrefix(name, b+"_") && len(b) > len(best) {
			best = b
		}
	}
	return best
}

// without gives the names that begin so, without that.
func without(names []string, base string) []string {
	var rest []string
	for _, name := range names {
		if r, ok := strings.CutPrefix(name, base+"_"); ok {
			rest = append(rest, r)
		}
	}
	return rest
}

// strayBelow notes a variable of something that is there.
func (d *decoder) strayBelow(n *node, base string) {
	e := &d.environment
	if e.onlyInFile(n.env) {
		d.add(n, "%s", onlyInFile)
		return
	}
	word := strings.TrimPrefix(n.env, base+"_")
	rest := without(e.known, base)
	near := ""
	for _, r := range rest {
		if strings.HasSuffix(r, "_"+word) {
			near = r
			break
		}
	}
	if near == "" {
		near = setting.Nearest(word, rest)
	}
	if near == "" {
		d.add(n, "there is no such key below %s_", base)
		return
	}
	d.add(n, "there is no such key; did you mean %s_%s?", base, near)
}

// strayItem notes a variable of something that the file does not have.
func (d *decoder) strayItem(n *node, list string) {
	word := strings.TrimPrefix(n.env, list+"_")
	what := strings.ToLower(strings.TrimSuffix(list[strings.LastIndex(list, "_")+1:], "S"))
	for _, base := range d.environment.bases {
		called, ok := strings.CutPrefix(base, list+"_")
		if !ok {
			continue
		}
		// As many words of the name as this one is called by.
		parts := strings.SplitAfterN(word, "_", strings.Count(called, "_")+2)
		first := strings.TrimSuffix(strings.Join(parts[:len(parts)-1], ""), "_")
		if first != "" && setting.Nearest(first, []string{called}) != "" {
			d.add(n, "the file has no %s called so; did you mean %s_%s?", what, base, parts[len(parts)-1])
			return
		}
	}
	d.add(n, "the file has no %s called so; a variable changes one that stands there", what)
}

// strayTop notes a variable that is a slip of one of the top's. Others may have names
// of their own with our beginning: what is further off is not ours.
func (d *decoder) strayTop(n *node, lists []string) {
	e := &d.environment
	if e.onlyInFile(n.env) {
		d.add(n, "%s", onlyInFile)
		return
	}
	if near := e.near(n.env, lists); near != "" {
		d.add(n, "there is no such key; did you mean %s?", near)
	}
}

// near gives what a name is a slip of, or "".
func (e *environment) near(name string, lists []string) string {
	for _, l := range lists {
		// ROLLCALL_CONNECTION_HQ_...
		if parts := strings.SplitN(name, "_", 3); len(parts) == 3 && slip(parts[0]+"_"+parts[1], l) {
			return l + "_" + parts[2]
		}
	}
	for _, k := range append(slices.Clone(e.known), otherVariables...) {
		if slip(name, k) {
			return k
		}
	}
	if block := longest(e.blocks, name); block != "" {
		if k := setting.Nearest(strings.TrimPrefix(name, block+"_"), without(e.known, block)); k != "" {
			return block + "_" + k
		}
	}
	// ROLLCALL_DATABASE_URL, where nothing else says what the database is.
	if k := longest(e.known, name); k != "" && !slices.Contains(e.given, k) {
		return k
	}
	return ""
}

const onlyInFile = "this key is set in the file; it has no variable"

func (e *environment) onlyInFile(name string) bool {
	return slices.ContainsFunc(e.inFile, func(key string) bool { return name == key || strings.HasPrefix(name, key+"_") })
}

// slip reports whether two names differ by a letter or two in one place, or in their
// underscores alone.
func slip(a, b string) bool {
	if strings.ReplaceAll(a, "_", "") == strings.ReplaceAll(b, "_", "") {
		return true
	}
	short := min(len(a), len(b))
	from := 0
	for from < short && a[from] == b[from] {
		from++
	}
	end := 0
	for end < short-from && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	return max(len(a), len(b))-from-end <= 2
}
