package formula

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/conf"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/mapping/clean"
)

// refusal ends a run with a sentence for the administrator.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// takesList are the functions whose first argument is a list; a bare name there
// stands for every value.
var takesList = map[string]bool{
	"first": true, "last": true, "all": true, "values": true, "join": true, "uniq": true, "sort": true,
	asFunctionName: true,
}

// takesFrame are the functions that see the run's time and region.
var takesFrame = map[string]bool{
	"normalizePhone": true, "adStatus": true, "lockStatus": true, "denyStatus": true, "ldapStatus": true,
}

// FunctionNames lists the functions of the language, sorted.
func FunctionNames() []string { return functionNames() }

var functionNames = sync.OnceValue(func() []string {
	var names []string
	for name := range maps.Keys(functions) {
		if name[0] != 0 && name != asFunctionName {
			names = append(names, name)
		}
	}
	names = append(names, "contains")
	names = append(names, loops...)
	slices.Sort(names)
	return names
})

// functions is the table of the language. Functions take what they get and
// never fail on what is absent.
var functions = table()

// define puts a function into the language. Every function is given the run's
// frame before its arguments, and its work is counted there.
func define(name string, fn func(a ...any) (any, error), types ...any) expr.Option {
	frame := reflect.TypeFor[*Frame]()
	for i, t := range types {
		plain := reflect.TypeOf(t).Elem()
		in := []reflect.Type{frame}
		for at := range plain.NumIn() {
			in = append(in, plain.In(at))
		}
		types[i] = reflect.New(reflect.FuncOf(in, []reflect.Type{plain.Out(0)}, plain.IsVariadic())).Interface()
	}
	return expr.Function(name, func(a ...any) (any, error) {
		f, ok := a[0].(*Frame)
		if !ok {
			return nil, refuse("%s was called without its run", name)
		}
		if err := f.charge(a[1:]); err != nil {
			return nil, err
		}
		if takesFrame[name] {
			return fn(a...)
		}
		return fn(a[1:]...)
	}, types...)
}

// charge counts what a function will look at: a loop over a long list that calls
// a function over a long list must come to an end.
func (f *Frame) charge(args []any) error {
	for _, a := range args {
		switch a := a.(type) {
		case string:
			f.work += 1 + len(a)/64
		case []string:
			f.work += len(a)
		case []any:
			f.work += len(a)
		}
	}
	if f.work > maxWork {
		return refuse("the expression takes too long on this entry")
	}
	return nil
}

func table() conf.FunctionsTable {
	c := conf.CreateNew()
	for _, o := range []expr.Option{
		define(addName, add, new(func(string, string) string), new(func(int, int) int), new(func(float64, float64) float64),
			new(func(int, float64) float64), new(func(float64, int) float64), new(func(string, int) string), new(func(int, string) string)),
		define(atName, at, new(func(any, int) string)),
		define(inName, in, new(func(any, any) bool)),
		define(sliceName, slice, new(func(string, int, int) string), new(func([]string, int, int) []string), new(func([]any, int, int) []any)),
		define("attr", nil, new(func(string) string)),
		define("first", func(a ...any) (any, error) { return pick(a[0], 0), nil }, new(func(any) string)),
		define("last", func(a ...any) (any, error) { return pick(a[0], -1), nil }, new(func(any) string)),
		define("firstOf", firstOf, new(func(...any) string)),
		define("all", all, new(func(any) []string)),
		define("values", all, new(func(any) []string)),
		define("uniq", func(a ...any) (any, error) { return unique(List(a[0])), nil }, new(func(any) []string)),
		define("sort", func(a ...any) (any, error) { l := slices.Clone(List(a[0])); slices.Sort(l); return l, nil }, new(func(any) []string)),
		define("len", length, new(func(any) int)),
		define("int", toInt, new(func(any) int)),
		define("string", func(a ...any) (any, error) { return Text(a[0]), nil }, new(func(any) string)),
		define("lower", func(a ...any) (any, error) { return bounded(strings.ToLower(Text(a[0]))) }, new(func(string) string)),
		define("upper", func(a ...any) (any, error) { return bounded(strings.ToUpper(Text(a[0]))) }, new(func(string) string)),
		define("trim", trim, new(func(string) string), new(func(string, string) string)),
		define("split", split, new(func(string, string) []string)),
		define("join", join, new(func(any) string), new(func(any, string) string)),
		define("replace", replace, new(func(string, string, string) string)),
		define("regexReplace", regexReplace, new(func(string, string, string) string)),
		define("regexMatch", regexMatch, new(func(string, string) bool)),
		define("substr", substr, new(func(string, int) string), new(func(string, int, int) string)),
		define("slug", func(a ...any) (any, error) { return bounded(clean.Slug(Text(a[0]))) }, new(func(string) string)),
		define("normalizePhone", normalizePhone, new(func(string) string), new(func(string, string) string)),
		define("dnPart", dnPart, new(func(string, string) string), new(func(string, string, int) string)),
		define("memberOf", memberOf, new(func(any, string) bool)),
		define("mapValue", mapValue, new(func(string, map[string]any) string), new(func(string, map[string]any, string) string)),
		define(asFunctionName, contains, new(func(any, string) bool)),
		define("adStatus", adStatus, new(func(string) string), new(func(string, string) string)),
		define("lockStatus", lockStatus, new(func(string) string)),
		define("denyStatus", denyStatus, new(func(string) string)),
		define("ldapStatus", ldapStatus, new(func(string) string), new(func(string, string) string), new(func(string, string, string) string)),
	} {
		o(c)
	}
	return c.Functions
}

// Text makes a text of a result: a list gives its first value.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []string, []any:
		return pick(v, 0)
	}
	return ""
}

// List makes a list of a result: a text is a list of one, the empty text of none.
func List(v any) []string {
	switch v := v.(type) {
	case []string:
		return v
	case []any:
		out := make([]string, len(v))
		for i := range v {
			out[i] = Text(v[i])
		}
		return out
	}
	if s := Text(v); s != "" {
		return []string{s}
	}
	return nil
}

// pick gives one value of a list, counted from the end where i is negative.
func pick(v any, i int) string {
	switch v := v.(type) {
	case []string:
		if i < 0 {
			i += len(v)
		}
		if i >= 0 && i < len(v) {
			return v[i]
		}
		return ""
	case []any:
		if i < 0 {
			i += len(v)
		}
		if i >= 0 && i < len(v) {
			if _, nested := v[i].([]any); !nested {
				return Text(v[i])
			}
		}
		return ""
	}
	if i == 0 || i == -1 {
		return Text(v)
	}
	return ""
}

func bounded(s string) (any, error) {
	if len(s) > maxText {
		return nil, refuse("a text grew longer than 64 KiB")
	}
	return s, nil
}

func add(a ...any) (any, error) {
	switch x := a[0].(type) {
	case int:
		switch y := a[1].(type) {
		case int:
			return x + y, nil
		case float64:
			return float64(x) + y, nil
		}
	case float64:
		switch y := a[1].(type) {
		case int:
			return x + float64(y), nil
		case float64:
			return x + y, nil
		}
	}
	return bounded(Text(a[0]) + Text(a[1]))
}

func at(a ...any) (any, error) {
	i, _ := a[1].(int)
	return pick(a[0], i), nil
}

// in asks a list for a value as it is spelled, or a table for a key.
func in(a ...any) (any, error) {
	want := Text(a[0])
	switch where := a[1].(type) {
	case map[string]any:
		_, ok := where[want]
		return ok, nil
	case []string:
		return slices.Contains(where, want), nil
	case []any:
		return slices.ContainsFunc(where, func(v any) bool { return Text(v) == want }), nil
	}
	return Text(a[1]) == want, nil
}

// slice cuts a text by characters and a list by elements; what lies outside is
// left out.
func slice(a ...any) (any, error) {
	from, _ := a[1].(int)
	to, _ := a[2].(int)
	cut := func(n int) (int, int) {
		if from < 0 {
			from += n
		}
		if to < 0 {
			to += n
		}
		to = min(max(to, 0), n)
		return min(max(from, 0), to), to
	}
	switch v := a[0].(type) {
	case []string:
		i, j := cut(len(v))
		return v[i:j], nil
	case []any:
		i, j := cut(len(v))
		return v[i:j], nil
	}
	runes := []rune(Text(a[0]))
	i, j := cut(len(runes))
	return string(runes[i:j]), nil
}

func firstOf(a ...any) (any, error) {
	for _, v := range a {
		for _, s := range List(v) {
			if strings.TrimSpace(s) != "" {
				return s, nil
			}
		}
	}
	return "", nil
}

func all(a ...any) (any, error) { return List(a[0]), nil }

func unique(list []string) []string {
	seen := make(map[string]bool, len(list))
	var out []string
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func length(a ...any) (any, error) {
	switch v := a[0].(type) {
	case []string:
		return len(v), nil
	case []any:
		return len(v), nil
	}
	return utf8.RuneCountInString(Text(a[0])), nil
}

func toInt(a ...any) (any, error) {
	if f, ok := a[0].(float64); ok {
		return int(f), nil
	}
	i, _ := strconv.Atoi(strings.TrimSpace(Text(a[0])))
	return i, nil
}

func trim(a ...any) (any, error) {
	if len(a) == 2 {
		return strings.Trim(Text(a[0]), Text(a[1])), nil
	}
	return strings.TrimSpace(Text(a[0])), nil
}

func split(a ...any) (any, error) {
	s := Text(a[0])
	if s == "" {
		return []string(nil), nil
	}
	if len(s) > maxText {
		return nil, refuse("a text is longer than 64 KiB")
	}
	return strings.Split(s, Text(a[1])), nil
}

func join(a ...any) (any, error) {
	sep := ""
	if len(a) == 2 {
		sep = Text(a[1])
	}
	list, size := List(a[0]), 0
	for _, s := range list {
		size += len(s) + len(sep)
	}
	if size-len(sep) > maxText {
		return nil, refuse("a text grew longer than 64 KiB")
	}
	return strings.Join(list, sep), nil
}

func replace(a ...any) (any, error) {
	s, from, to := Text(a[0]), Text(a[1]), Text(a[2])
	if from == "" {
		return s, nil
	}
	if len(s)+strings.Count(s, from)*len(to) > 2*maxText {
		return nil, refuse("a text grew longer than 64 KiB")
	}
	return bounded(strings.ReplaceAll(s, from, to))
}

// patterns keeps compiled regular expressions. Patterns are nearly always
// written out in the rule, so there are few; a flood of computed ones empties it.
var patterns struct {
	sync.RWMutex
	m map[string]*regexp.Regexp
}

func pattern(text string) (*regexp.Regexp, error) {
	patterns.RLock()
	re := patterns.m[text]
	patterns.RUnlock()
	if re != nil {
		return re, nil
	}
	if len(text) > maxLength {
		return nil, refuse("a regular expression is longer than %d characters", maxLength)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, refuse("the regular expression %q is not valid: %v", text, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	patterns.Lock()
	if patterns.m == nil || len(patterns.m) > 500 {
		patterns.m = map[string]*regexp.Regexp{}
	}
	patterns.m[text] = re
	patterns.Unlock()
	return re, nil
}

func regexReplace(a ...any) (any, error) {
	re, err := pattern(Text(a[1]))
	if err != nil {
		return nil, err
	}
	s, to := Text(a[0]), Text(a[2])
	if len(s) > maxText || (len(s)+1)*(len(to)+1) > 16*maxText && len(to) > 256 {
		return nil, refuse("a text grew longer than 64 KiB")
	}
	return bounded(re.ReplaceAllString(s, to))
}

func regexMatch(a ...any) (any, error) {
	re, err := pattern(Text(a[1]))
	if err != nil {
		return nil, err
	}
	s := Text(a[0])
	if len(s) > maxText {
		return nil, refuse("a text is longer than 64 KiB")
	}
	return re.MatchString(s), nil
}

func substr(a ...any) (any, error) {
	s := []rune(Text(a[0]))
	from, _ := a[1].(int)
	if from < 0 {
		from = max(len(s)+from, 0)
	}
	from = min(from, len(s))
	to := len(s)
	if len(a) == 3 {
		n, _ := a[2].(int)
		to = from + min(max(n, 0), len(s)-from)
	}
	return string(s[from:to]), nil
}

func normalizePhone(a ...any) (any, error) {
	f, _ := a[0].(*Frame)
	region := ""
	if f != nil {
		region = f.Region
	}
	if len(a) == 3 {
		region = strings.ToUpper(Text(a[2]))
	}
	s, _ := clean.Mobile(Text(a[1]), region)
	return s, nil
}

func mapValue(a ...any) (any, error) {
	key := strings.TrimSpace(Text(a[0]))
	table, _ := a[1].(map[string]any)
	if v, ok := table[key]; ok {
		return Text(v), nil
	}
	folded, best := account.Fold(key), ""
	for k := range table {
		if account.Fold(k) == folded && (best == "" || k < best) {
			best = k
		}
	}
	if v, ok := table[best]; ok && best != "" {
		return Text(v), nil
	}
	if len(a) == 3 {
		return Text(a[2]), nil
	}
	return "", nil
}

// contains asks a list for a value, without case; a single text is a list of one
// and then also asked for a part.
func contains(a ...any) (any, error) {
	want := account.Fold(Text(a[1]))
	list := List(a[0])
	for _, s := range list {
		if account.Fold(s) == want {
			return true, nil
		}
	}
	return len(list) == 1 && want != "" && strings.Contains(account.Fold(list[0]), want), nil
}
