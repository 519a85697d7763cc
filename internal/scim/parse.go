package scim

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The limits of filters and paths. Clients send a few terms; Entra ID never more
// than two.
const (
	MostFilterText  = 4096 // bytes
	MostFilterTerms = 256
	MostFilterDepth = 24 // of brackets within one another
)

// ParseFilter reads a filter (RFC 7644, section 3.4.2.2). Keywords, operators and the
// names of attributes may be in any case, and values may stand without quotation
// marks, as Entra ID's documents have them: `externalId eq jyoung`. The names of
// attributes that the schemas know are spelled as there. An error is an *Error of
// invalidFilter.
func ParseFilter(text string) (*Filter, error) {
	p := parser{text: text, fault: InvalidFilter}
	if err := p.check(); err != nil {
		return nil, err
	}
	f, err := p.either(nil)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(text) {
		return nil, p.bad("the end, or `and`, or `or`")
	}
	return f, nil
}

// ParsePath reads the path of an operation of PATCH (RFC 7644, section 3.5.2, figure
// 7). An error is an *Error of invalidPath.
func ParsePath(text string) (Path, error) {
	p := parser{text: text, fault: InvalidPath}
	if err := p.check(); err != nil {
		return Path{}, err
	}
	p.space()
	path, err := p.path(nil)
	if err != nil {
		return Path{}, err
	}
	if p.space(); p.at < len(text) {
		return Path{}, p.bad("the end of the path")
	}
	return path, nil
}

// parser goes through a text once, from left to right, without looking back.
type parser struct {
	text  string
	at    int
	depth int
	terms int
	fault ErrorType
}

func (p *parser) check() error {
	switch {
	case len(p.text) > MostFilterText:
		return Bad(p.fault, "the text is %d bytes long, and %d are taken at most", len(p.text), MostFilterText)
	case !utf8.ValidString(p.text) || strings.ContainsRune(p.text, 0):
		return Bad(p.fault, "the text is not UTF-8, or has a NUL in it")
	case strings.TrimSpace(p.text) == "":
		return Bad(p.fault, "the text is empty")
	}
	return nil
}

// bad says what should be at the place where the parser stands, and quotes it.
func (p *parser) bad(want string) error {
	const around = 24
	from, to := max(0, p.at-around), min(len(p.text), p.at+around)
	before := strings.ToValidUTF8(p.text[from:p.at], "")
	after := strings.ToValidUTF8(p.text[p.at:to], "")
	if after == "" {
		return Bad(p.fault, "after %q comes nothing more; wanted here: %s", before, want)
	}
	return Bad(p.fault, "at %q, after %q: wanted here: %s", after, before, want)
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// take goes on behind a character if that is the next one.
func (p *parser) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// word takes a keyword, in any case, that ends where the next thing begins.
func (p *parser) word(want string) bool {
	end := p.at + len(want)
	if end > len(p.text) || !strings.EqualFold(p.text[p.at:end], want) {
		return false
	}
	if end < len(p.text) && strings.IndexByte(" \t\r\n()[]\"", p.text[end]) < 0 {
		return false
	}
	p.at = end
	return true
}

func (p *parser) deeper() error {
	if p.depth++; p.depth > MostFilterDepth {
		return Bad(p.fault, "brackets stand within one another more than %d deep", MostFilterDepth)
	}
	return nil
}

// either reads terms joined by `or`, which binds less than `and`. In brackets behind
// an attribute, within is that attribute, and the names are of its parts.
func (p *parser) either(within *Path) (*Filter, error) {
	return p.joined(Or, func() (*Filter, error) {
		return p.joined(And, func() (*Filter, error) { return p.term(within) })
	})
}

func (p *parser) joined(op Op, next func() (*Filter, error)) (*Filter, error) {
	left, err := next()
	for err == nil {
		if p.space(); !p.word(string(op)) {
			return left, nil
		}
		var right *Filter
		right, err = next()
		left = &Filter{Op: op, Left: left, Right: right}
	}
	return nil, err
}

func (p *parser) term(within *Path) (*Filter, error) {
	p.space()
	before := p.at
	if p.word("not") {
		if p.space(); p.take('(') {
			f, err := p.group(within)
			if err != nil {
				return nil, err
			}
			return &Filter{Op: Not, Left: f}, nil
		}
		p.at = before
	}
	if p.take('(') {
		return p.group(within)
	}
	return p.comparison(within)
}

// group reads what stands behind an opening bracket.
func (p *parser) group(within *Path) (*Filter, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	f, err := p.either(within)
	if err != nil {
		return nil, err
	}
	if p.space(); !p.take(')') {
		return nil, p.bad("`)`, or `and`, or `or`")
	}
	p.depth--
	return f, nil
}

var operators = []Op{Eq, Ne, Co, Sw, Ew, Gt, Ge, Lt, Le, Pr}

func (p *parser) comparison(within *Path) (*Filter, error) {
	if p.terms++; p.terms > MostFilterTerms {
		return nil, Bad(p.fault, "there are more than %d comparisons", MostFilterTerms)
	}
	path, err := p.path(within)
	if err != nil {
		return nil, err
	}
	f := &Filter{Op: Pr, Path: path}
	p.space()
	begin := p.at
	for _, op := range operators {
		if p.word(string(op)) {
			f.Op = op
			break
		}
	}
	switch {
	case p.at > begin && f.Op == Pr:
		return f, nil
	case p.at == begin && path.Filter != nil && path.Sub == "":
		return f, nil // `emails[type eq "work"]` asks whether there is one
	case p.at == begin:
		return nil, p.bad("an operator (eq, ne, co, sw, ew, gt, ge, lt, le, pr)")
	}
	p.space()
	begin = p.at
	if f.Value, err = p.value(); err != nil {
		return nil, err
	}
	return f, p.ordered(f, within, begin)
}

// ordered refuses comparisons that mean nothing: neither of true and false is the
// greater one (RFC 7644, table 3), and nothing is greater than null.
func (p *parser) ordered(f *Filter, within *Path, begin int) error {
	switch f.Op {
	case Eq, Ne:
		return nil
	default:
	}
	a, _ := f.attribute(within)
	if f.Value == nil || a.Type == "boolean" || a.Type == "binary" && f.Op != Co && f.Op != Sw && f.Op != Ew {
		p.at = begin
		return p.bad("a value that `" + string(f.Op) + "` can be asked of; here only eq and ne can")
	}
	return nil
}

// attribute is what the schemas know of what is compared.
func (f *Filter) attribute(within *Path) (Attribute, bool) {
	path := f.Path
	if within != nil {
		path = Path{Schema: within.Schema, Attr: within.Attr, Sub: f.Path.Attr}
	}
	return path.attribute("")
}

// attribute is what the schemas know of what a path leads to: of the part `value`
// where a complex attribute is named alone, because that is compared.
func (p Path) attribute(t Type) (Attribute, bool) {
	a, ok := Lookup(t, p.Schema, p.Attr, p.Sub)
	if ok && len(a.Sub) > 0 {
		if v := named(a.Sub, "value"); v != nil {
			return *v, true
		}
	}
	return a, ok
}

func (p *parser) value() (any, error) {
	if p.at == len(p.text) {
		return nil, p.bad("a value, as \"abc\", true, 5 or null")
	}
	if p.text[p.at] == '"' {
		return p.quoted()
	}
	begin := p.at
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n()[]\"", p.text[p.at]) < 0 {
		p.at++
	}
	bare := p.text[begin:p.at]
	if bare == "" {
		return nil, p.bad("a value, as \"abc\", true, 5 or null")
	}
	if v, ok := literal(bare); ok {
		return v, nil
	}
	return bare, nil
}

var numeral = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func literal(bare string) (any, bool) {
	switch {
	case strings.EqualFold(bare, "true"):
		return true, true
	case strings.EqualFold(bare, "false"):
		return false, true
	case strings.EqualFold(bare, "null"):
		return nil, true
	case numeral.MatchString(bare):
		return json.Number(bare), true
	}
	return nil, false
}

func (p *parser) quoted() (any, error) {
	begin := p.at
	for p.at++; p.at < len(p.text) && p.text[p.at] != '"'; p.at++ {
		if p.text[p.at] == '\\' {
			p.at++
		}
	}
	if p.at >= len(p.text) {
		p.at = begin
		return nil, p.bad("a quotation mark at the end of the value")
	}
	p.at++
	var s string
	if json.Unmarshal([]byte(p.text[begin:p.at]), &s) != nil || strings.ContainsRune(s, 0) {
		p.at = begin
		return nil, p.bad("a string of JSON without NUL")
	}
	return s, nil
}

// path reads the name of an attribute and what belongs to it.
func (p *parser) path(within *Path) (Path, error) {
	begin := p.at
	name := p.name()
	if name == "" {
		return Path{}, p.bad("the name of an attribute")
	}
	path, ok := splitName(name)
	if !ok || within != nil && path.Schema != "" {
		p.at = begin
		return Path{}, p.bad("the name of an attribute")
	}
	if path.Attr != "" && path.Sub == "" && p.take('[') {
		if within != nil {
			p.at--
			return Path{}, p.bad("no bracket within a bracket")
		}
		if err := p.deeper(); err != nil {
			return Path{}, err
		}
		path.respell(nil)
		f, err := p.either(&path)
		if err != nil {
			return Path{}, err
		}
		if p.space(); !p.take(']') {
			return Path{}, p.bad("`]`, or `and`, or `or`")
		}
		p.depth--
		path.Filter = f
		if p.take('.') {
			if path.Sub = p.name(); path.Sub == "" || strings.ContainsAny(path.Sub, ":.") || !isName(path.Sub) {
				return Path{}, p.bad("the name of a part of the attribute")
			}
		}
	}
	path.respell(within)
	return path, nil
}

// name takes all that may be in the name of an attribute with the schema before it.
func (p *parser) name() string {
	begin := p.at
	for p.at < len(p.text) && (isNameByte(p.text[p.at]) || strings.IndexByte(":.", p.text[p.at]) >= 0) {
		p.at++
	}
	return p.text[begin:p.at]
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '$'
}

// isName reports whether a text is the name of an attribute (RFC 7643, section 2.1;
// `$ref` is one too).
func isName(s string) bool {
	if s == "" || '0' <= s[0] && s[0] <= '9' || s[0] == '-' || s[0] == '_' {
		return false
	}
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return true
}

// splitName takes a name apart into schema, attribute and part. The versions in the
// names of schemas have dots in them, so the schema goes first: one we know as a
// whole, any other up to the last colon. A whole extension of which nothing is
// known therefore looks like an attribute; who has the resource can tell.
func splitName(name string) (Path, bool) {
	for _, urn := range []string{UserSchema, GroupSchema, EnterpriseSchema} {
		if len(name) < len(urn) || !strings.EqualFold(name[:len(urn)], urn) {
			continue
		}
		rest := name[len(urn):]
		if urn != EnterpriseSchema {
			urn = ""
		}
		switch {
		case rest == "":
			return Path{Schema: urn}, urn != ""
		case rest[0] == ':', rest[0] == '.': // the latter as some write it
			return splitPart(urn, rest[1:])
		}
	}
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		if !isURN(name[:i]) {
			return Path{}, false
		}
		return splitPart(name[:i], name[i+1:])
	}
	return splitPart("", name)
}

// isURN reports whether a text could be the name of a schema (RFC 8141: urn, a
// namespace, and something in it).
func isURN(s string) bool {
	parts := strings.Split(s, ":")
	if len(parts) < 3 || !strings.EqualFold(parts[0], "urn") {
		return false
	}
	for _, part := range parts {
		for i := range len(part) {
			if !isNameByte(part[i]) && part[i] != '.' {
				return false
			}
		}
		if part == "" {
			return false
		}
	}
	return true
}

func splitPart(schema, rest string) (Path, bool) {
	attr, sub, dotted := strings.Cut(rest, ".")
	if !isName(attr) || dotted && !isName(sub) {
		return Path{}, false
	}
	return Path{Schema: schema, Attr: attr, Sub: sub}, true
}

// respell writes names as the schemas have them, where these know them. A name that
// only the enterprise extension has is of that: Entra ID asks for `manager eq "5"`.
func (p *Path) respell(within *Path) {
	if within != nil {
		if a, ok := Lookup("", within.Schema, within.Attr, p.Attr); ok {
			p.Attr = a.Name
		}
		return
	}
	a, ok := Lookup("", p.Schema, p.Attr, "")
	if !ok && p.Schema == "" {
		if a, ok = Lookup(User, EnterpriseSchema, p.Attr, ""); ok {
			p.Schema = EnterpriseSchema
		}
	}
	if ok {
		p.Attr = a.Name
	}
	if a, ok := Lookup("", p.Schema, p.Attr, p.Sub); ok && p.Sub != "" {
		p.Sub = a.Name
	}
}
