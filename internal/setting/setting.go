// Package setting holds settings as data: each is declared once, with its name,
// help, type and default, and the configuration file, the JSON Schema, the
// documentation, the console's forms and redaction all come from that. Sources
// declare theirs; config hands decoded values to source.Open.
package setting

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Type of a setting's value.
type Type uint8

// The types, with the Go type a decoded value has.
const (
	String   Type = iota // string
	Bool                 // bool
	Int                  // int
	Duration             // time.Duration; a bare number is seconds
	List                 // []string; a single string is a list of one
	Size                 // int64 bytes: 64MB, 1GiB, or a bare number
)

func (t Type) String() string {
	return [...]string{"text", "true or false", "a whole number", "a duration such as 30s", "a list", "a size such as 64MB"}[t]
}

// Option declares one setting. Name is its path below the backend's block, with
// dots between levels: "tls.ca_file".
type Option struct {
	Name     string
	Type     Type
	Label    string
	Help     string
	Default  string // in its text form; lists separated by commas
	Choices  []string
	Required bool
	Secret   bool // never shown, logged or returned
	Lines    bool // of a secret: it has several lines, such as a key in PEM
	Advanced bool // folded away in forms
	// Basis marks a setting that decides who is read or how people are known:
	// after a change of it the next plan waits for a person.
	Basis bool
	// Place marks a setting that says where secrets are sent, and under which
	// protection: whoever changes it gives them anew.
	Place bool
	// Local marks the name of a file on the machine Rollcall runs on: nothing that an
	// organization may set for itself.
	Local bool
}

// Values are decoded settings by option name.
type Values map[string]any

// String, Bool, Int, Duration, List and Size give a decoded value, zero where unset.
func (v Values) String(name string) string { s, _ := v[name].(string); return s }

// Bool gives a true-or-false setting.
func (v Values) Bool(name string) bool { b, _ := v[name].(bool); return b }

// Int gives a whole number.
func (v Values) Int(name string) int { i, _ := v[name].(int); return i }

// Duration gives a length of time.
func (v Values) Duration(name string) time.Duration { d, _ := v[name].(time.Duration); return d }

// List gives a list.
func (v Values) List(name string) []string { l, _ := v[name].([]string); return l }

// Size gives a number of bytes.
func (v Values) Size(name string) int64 { s, _ := v[name].(int64); return s }

// Find gives the option of a name.
func Find(options []Option, name string) (Option, bool) {
	i := slices.IndexFunc(options, func(o Option) bool { return o.Name == name })
	if i < 0 {
		return Option{}, false
	}
	return options[i], true
}

// Parse turns the text form of one value into its Go type. The error names
// neither the option nor the value: the caller knows where it stood, and a
// secret must not be repeated.
func (o Option) Parse(text string) (any, error) {
	switch o.Type {
	case Bool:
		switch strings.ToLower(text) {
		case "true", "yes", "on":
			return true, nil
		case "false", "no", "off":
			return false, nil
		}
		return nil, fmt.Errorf("expected true or false")
	case Int:
		i, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("expected a whole number")
		}
		return i, nil
	case Duration:
		return ParseDuration(text)
	case Size:
		return ParseSize(text)
	case List:
		if text == "" {
			return []string(nil), nil
		}
		var out []string
		for p := range strings.SplitSeq(text, ",") {
			out = append(out, strings.TrimSpace(p))
		}
		return out, nil
	case String:
		if len(o.Choices) > 0 && !slices.Contains(o.Choices, text) {
			return nil, fmt.Errorf("expected one of %s", strings.Join(o.Choices, ", "))
		}
		return text, nil
	}
	return nil, fmt.Errorf("setting %s has no type", o.Name)
}

// Defaults fills in what is unset. It is an error of ours when a declared
// default does not parse.
func Defaults(options []Option, v Values) error {
	for _, o := range options {
		if _, ok := v[o.Name]; ok || o.Default == "" {
			continue
		}
		d, err := o.Parse(o.Default)
		if err != nil {
			return fmt.Errorf("setting %s: default: %w", o.Name, err)
		}
		v[o.Name] = d
	}
	return nil
}

// ParseDuration reads "30s", "5m", "30d" or a bare number of seconds.
func ParseDuration(text string) (time.Duration, error) {
	number, unit := text, time.Second
	if days, ok := strings.CutSuffix(text, "d"); ok {
		number, unit = days, 24*time.Hour
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n <= int64(math.MaxInt64/unit) {
		return time.Duration(n) * unit, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("expected a duration such as 30s, 5m or 30d")
	}
	return d, nil
}

// ParseSize reads "64MB", "1GiB", "200kB" or a bare number of bytes. The
// decimal and the binary spelling mean the same: powers of 1024.
func ParseSize(text string) (int64, error) {
	bad := fmt.Errorf("expected a size such as 64MB")
	t := strings.ToLower(strings.TrimSpace(text))
	t = strings.TrimSuffix(strings.TrimSuffix(t, "b"), "i")
	shift := 0
	if t != "" {
		if i := strings.IndexByte("kmgt", t[len(t)-1]); i >= 0 {
			shift, t = 10*(i+1), t[:len(t)-1]
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(t), 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, bad
	}
	return n << shift, nil
}

// Nearest gives the known word closest to one that is not known, or "" when
// none is close enough to be meant.
func Nearest(word string, known []string) string {
	best, at := "", len(word)/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < at {
			best, at = k, d
		}
	}
	return best
}

// distance is the edit distance with neighbouring letters swapped counted once.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
