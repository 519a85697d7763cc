// Package people makes up directories: people, groups and the units they live
// in, as LDIF for slapadd, and changes to them for ldapmodify. The same options
// give the same bytes on every machine. Tests, benchmarks and the demo load them
// into a real server and know from Stats what has to come out.
package people

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
)

// Options say how large a directory is and how much of it is faulty.
type Options struct {
	People int
	Groups int
	Suffix string // default dc=example,dc=org
	Seed   uint64
	// LargestGroup bounds the members of a group; default 2,000, and never more
	// than half of the people. The smallest has 10. With 1,000 groups of the
	// default size there are about 373,000 memberships.
	LargestGroup int
	// Broken people each have one fault, in turn: no mail, an impossible
	// telephone number, a language there is none of, another's mail, a manager
	// who does not exist, a manager who reports to them.
	Broken int
}

// Stats count what was written.
type Stats struct {
	Entries     int // everything, folders included
	People      int
	Groups      int
	Memberships int // people listed in groups; a group listed in a group is not counted
	Nested      int // groups listed in groups

	NoMail, BadPhone, BadLanguage, SameMail, LostManager, ManagerCycle int
}

func (o *Options) fill() {
	o.Suffix = cmp.Or(o.Suffix, "dc=example,dc=org")
	o.LargestGroup = min(cmp.Or(o.LargestGroup, 2000), max(o.People/2, 1))
	o.Broken = min(o.Broken, o.People/4)
}

// fault of a broken person.
type fault uint8

const (
	sound fault = iota
	noMail
	badPhone
	badLanguage
	sameMail
	lostManager
	managerCycle
	faults = 6
)

// faultOf spreads the broken evenly over the directory.
func (o *Options) faultOf(i int) fault {
	if o.Broken == 0 {
		return sound
	}
	every := o.People / o.Broken
	if k := i / every; i%every == every-1 && k < o.Broken {
		return fault(k%faults) + 1
	}
	return sound
}

// A person's entry, before it is written.
type person struct {
	dn, uid, first, last, unit string
	mail                       []string
	mobile, phone              string
	language, title, city      string
	departments                []string
	manager                    string
	number                     string
}

// random gives the stream of random numbers that belongs to one thing, whatever
// was made before it.
func (o *Options) random(what uint64, i int) *rand.Rand {
	return rand.New(rand.NewPCG(o.Seed*2654435761+what, uint64(i)*0x9e3779b97f4a7c15+1))
}

const (
	aPerson = 1
	aGroup  = 2
	aChange = 3
)

func (o *Options) person(i int) person {
	r := o.random(aPerson, i)
	l := &locales[r.IntN(len(locales))]
	first, firstPlain, _ := strings.Cut(pick(r, l.first), "|")
	last, lastPlain, _ := strings.Cut(pick(r, l.last), "|")
	p := person{
		first: first, last: last, unit: pick(r, units),
		uid:    fmt.Sprintf("%c%s%d", firstPlain[0], strings.ReplaceAll(lastPlain, "-", ""), i),
		mail:   []string{fmt.Sprintf("%s.%s.%d@example.org", firstPlain, lastPlain, i)},
		mobile: digits(r, l.mobile), phone: digits(r, l.phone),
		language: pick(r, l.languages), title: pick(r, titles), city: pick(r, l.cities),
		departments: []string{fmt.Sprintf("D%03d", r.IntN(300))},
		number:      fmt.Sprintf("E%07d", i),
	}
	if r.IntN(20) == 0 {
		p.departments = append(p.departments, fmt.Sprintf("D%03d", 300+r.IntN(100)))
	}
	p.dn = fmt.Sprintf("uid=%s,ou=%s,ou=people,%s", p.uid, strings.ReplaceAll(p.unit, ",", `\,`), o.Suffix)
	return p
}

// complete adds what needs another person: the manager, eight people to each,
// and the faults.
func (o *Options) complete(i int, p *person, s *Stats) {
	if i > 0 {
		p.manager = o.person((i - 1) / 8).dn
	}
	switch o.faultOf(i) {
	case sound:
	case noMail:
		p.mail = nil
		s.NoMail++
	case badPhone:
		p.mobile, p.phone = "12", "n/a"
		s.BadPhone++
	case badLanguage:
		p.language = "Klingon"
		s.BadLanguage++
	case sameMail:
		p.mail = o.person(i - 1).mail
		s.SameMail++
	case lostManager:
		p.manager = "uid=nobody,ou=people," + o.Suffix
		s.LostManager++
	case managerCycle:
		// The first to report to them is their manager at the same time.
		if report := i*8 + 1; report < o.People {
			p.manager = o.person(report).dn
		} else {
			p.manager = p.dn
		}
		s.ManagerCycle++
	}
}

// Write writes the whole directory, parents before children, people before
// groups. Every entry has an entryUUID, which slapadd takes over.
func Write(w io.Writer, o Options) (Stats, error) {
	o.fill()
	var s Stats
	l := &ldif{w: bufio.NewWriterSize(w, 1<<20)}
	o.folders(l, &s)
	for i := range o.People {
		p := o.person(i)
		o.complete(i, &p, &s)
		l.person(&p)
		l.line("entryUUID", uuid(o.random(aPerson+100, i)))
		l.end()
		s.People++
	}
	for g := range o.Groups {
		o.group(l, g, &s)
	}
	s.Entries += s.People + s.Groups
	if err := l.w.Flush(); err != nil {
		return s, fmt.Errorf("people: write: %w", err)
	}
	return s, nil
}

func (o *Options) folders(l *ldif, s *Stats) {
	name, value, _ := strings.Cut(strings.SplitN(o.Suffix, ",", 2)[0], "=")
	l.line("dn", o.Suffix)
	l.line("objectClass", "organization")
	if strings.EqualFold(name, "dc") {
		l.line("objectClass", "dcObject")
		l.line("dc", value)
	}
	l.line("o", value)
	l.end()
	folder := func(name, under string) {
		l.line("dn", "ou="+strings.ReplaceAll(name, ",", `\,`)+","+under)
		l.line("objectClass", "organizationalUnit")
		l.line("ou", name)
		l.end()
		s.Entries++
	}
	for _, name := range []string{"people", "groups", "system"} {
		folder(name, o.Suffix)
	}
	for _, name := range units {
		folder(name, "ou=people,"+o.Suffix)
	}
	s.Entries++
}

// group writes one group. Sizes are spread evenly over their logarithm: many
// small ones, few large. Every fiftieth also lists the group after it, and the
// first three list one another in a ring.
func (o *Options) group(l *ldif, g int, s *Stats) {
	if o.People == 0 {
		return
	}
	r := o.random(aGroup, g)
	smallest := min(10, o.LargestGroup)
	spread := math.Log(float64(o.LargestGroup)) - math.Log(float64(smallest))
	size := int(math.Round(float64(smallest) * math.Exp(r.Float64()*spread)))
	l.line("dn", o.groupDN(g))
	l.line("objectClass", "groupOfNames")
	l.line("cn", groupName(g))
	l.line("description", "Made up, with "+fmt.Sprint(size)+" people")
	at, step := r.IntN(o.People), stride(r, o.People)
	for range size {
		l.line("member", o.person(at).dn)
		at = (at + step) % o.People
		s.Memberships++
	}
	if nested := o.nested(g); nested >= 0 {
		l.line("member", o.groupDN(nested))
		s.Nested++
	}
	l.line("entryUUID", uuid(r))
	l.end()
	s.Groups++
}

func (o *Options) nested(g int) int {
	switch {
	case o.Groups < 4:
		return -1
	case g < 3:
		return (g + 1) % 3
	case g%50 == 4 && g+1 < o.Groups:
		return g + 1
	}
	return -1
}

func groupName(g int) string { return fmt.Sprintf("group-%04d", g) }

func (o *Options) groupDN(g int) string { return "cn=" + groupName(g) + ",ou=groups," + o.Suffix }

// stride gives a step that has no divisor in common with n, so that walking
// by it meets everybody once before it meets anybody twice.
func stride(r *rand.Rand, n int) int {
	for {
		step := r.IntN(n) + 1
		a, b := step, n
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return step
		}
	}
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func digits(r *rand.Rand, pattern string) string {
	b := []byte(pattern)
	for i, c := range b {
		if c == '#' {
			b[i] = '0' + byte(r.IntN(10))
		}
	}
	return string(b)
}

func uuid(r *rand.Rand) string {
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ldif writes RFC 2849. Errors stay in the writer until it is flushed.
type ldif struct{ w *bufio.Writer }

func (l *ldif) line(name, value string) {
	_, _ = l.w.WriteString(name)
	if safe(value) {
		_, _ = l.w.WriteString(": ")
		_, _ = l.w.WriteString(value)
	} else {
		_, _ = l.w.WriteString(":: ")
		_, _ = l.w.WriteString(base64.StdEncoding.EncodeToString([]byte(value)))
	}
	_ = l.w.WriteByte('\n')
}

func (l *ldif) end() { _ = l.w.WriteByte('\n') }

func safe(value string) bool {
	if value == "" {
		return true
	}
	if strings.IndexByte(" :<", value[0]) >= 0 || value[len(value)-1] == ' ' {
		return false
	}
	for i := range len(value) {
		if c := value[i]; c >= 0x80 || c == 0 || c == '\n' || c == '\r' {
			return false
		}
	}
	return true
}

func (l *ldif) person(p *person) {
	l.line("dn", p.dn)
	l.line("objectClass", "inetOrgPerson")
	l.attributes(p)
}

// attributes are the fourteen that are read.
func (l *ldif) attributes(p *person) {
	l.line("uid", p.uid)
	l.line("cn", p.first+" "+p.last)
	l.line("sn", p.last)
	l.line("givenName", p.first)
	l.line("displayName", p.last+", "+p.first)
	for _, m := range p.mail {
		l.line("mail", m)
	}
	l.line("mobile", p.mobile)
	l.line("telephoneNumber", p.phone)
	l.line("preferredLanguage", p.language)
	l.line("title", p.title)
	for _, d := range p.departments {
		l.line("departmentNumber", d)
	}
	l.line("l", p.city)
	if p.manager != "" {
		l.line("manager", p.manager)
	}
	l.line("employeeNumber", p.number)
}

// Attributes are the names of what every person has (the first one no manager).
func Attributes() []string {
	return []string{
		"uid", "cn", "sn", "givenName", "displayName", "mail", "mobile", "telephoneNumber", "preferredLanguage", "title",
		"departmentNumber", "l", "manager", "employeeNumber",
	}
}
