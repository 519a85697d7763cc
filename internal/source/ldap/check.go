package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// doctor goes through the steps of reaching a directory.
type doctor struct {
	set    *settings
	report func(source.Step)
	begun  time.Time
}

// Check tries DNS, TCP and TLS of each server until one can be reached, and
// there the account, the root DSE, the people, their external IDs and the groups.
func (s *ldapSource) Check(ctx context.Context, report func(source.Step)) {
	d := &doctor{set: s.set, report: report}
	var c *conn
	var at server
	for i, address := range s.set.servers {
		found := d.lookUp(ctx, address, i == len(s.set.servers)-1)
		for j, srv := range found {
			if c = d.reach(ctx, srv, i == len(s.set.servers)-1 && j == len(found)-1); c != nil {
				at = srv
				break
			}
		}
		if c != nil {
			break
		}
	}
	if c == nil {
		return
	}
	defer c.close()
	if !d.signIn(c, at) {
		return
	}
	root := d.root(c)
	if root == nil {
		return
	}
	if d.people(c, root) && d.groups(c, root) && d.denied(c, root) {
		d.logins(root)
		d.changes(c, root)
	}
}

func (d *doctor) begin() { d.begun = time.Now() }

func (d *doctor) step(name string, v source.Verdict, detail, hint string) source.Step {
	return source.Step{Name: name, Section: sections[name], Verdict: v, Detail: detail, Hint: hint, Took: time.Since(d.begun)}
}

func (d *doctor) say(name string, v source.Verdict, detail, hint string) {
	d.report(d.step(name, v, detail, hint))
}

// sections are the parts of the settings that steps are about.
var sections = map[string]source.Section{
	"DNS": source.Address, "TCP": source.Address, "TLS": source.TLS, "bind": source.SignIn, "root DSE": source.Base,
	"search": source.Users, "anchor": source.Users, "sign-ins": source.Users, "deny groups": source.Users, "groups": source.Groups, "changes": source.Changes,
}

// fail reports an error of ours, without the words that name this package.
func (d *doctor) fail(name string, v source.Verdict, err error) {
	d.report(d.failed(name, v, err))
}

func (d *doctor) failed(name string, v source.Verdict, err error) source.Step {
	return d.step(name, v, strings.TrimPrefix(err.Error(), "ldap: "), fault.HintOf(err))
}

// baseless reports that people cannot be looked for since there is no such place.
func (d *doctor) baseless(root *rootDSE, err error) bool {
	if _, missing := d.set.resolveBase(root); missing != nil {
		return true
	}
	var answer *resultError
	return errors.As(err, &answer) && (answer.code == codeNoSuchObject || answer.code == codeInvalidDN)
}

// lookUp gives the servers an address stands for: itself, or those of a domain.
func (d *doctor) lookUp(ctx context.Context, address server, last bool) []server {
	if address.domain == "" {
		return []server{address}
	}
	d.begin()
	found, err := d.set.lookUp(ctx, address.domain)
	if err != nil {
		bad := source.Warn
		if last {
			bad = source.Fail
		}
		d.fail("DNS", bad, err)
		return nil
	}
	lines := make([]string, len(found))
	for i, srv := range found {
		lines[i] = srv.String()
	}
	d.say("DNS", source.OK, fmt.Sprintf("%s names, in this order:\n%s", found[0].record, clipLines(lines)), "")
	return found
}

// reach tries one server. Where another is left to try, failing is a warning.
func (d *doctor) reach(ctx context.Context, srv server, last bool) *conn {
	bad := source.Warn
	if last {
		bad = source.Fail
	}
	if !d.resolve(ctx, srv, bad) {
		return nil
	}
	d.begin()
	c, err := dial(ctx, net.JoinHostPort(srv.host, srv.port), d.set.idle)
	if err != nil {
		d.fail("TCP", bad, d.set.explain(fmt.Sprintf("connect to %s", srv), err))
		return nil
	}
	c.srv = srv
	d.say("TCP", source.OK, fmt.Sprintf("%s is open (%s)", srv, c.net.RemoteAddr()), "")
	if !d.encrypt(c, srv, bad) {
		c.drop()
		return nil
	}
	return c
}

func (d *doctor) resolve(ctx context.Context, srv server, bad source.Verdict) bool {
	d.begin()
	if net.ParseIP(srv.host) != nil {
		d.say("DNS", source.Skip, srv.host+" is an address", "")
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(ctx, srv.host)
	if err != nil {
		d.fail("DNS", bad, d.set.explain(fmt.Sprintf("look up %s", srv.host), err))
		return false
	}
	d.say("DNS", source.OK, fmt.Sprintf("%s is %s", srv.host, strings.Join(found, ", ")), "")
	return true
}

// soon is how long before its end a certificate is worth a warning.
const soon = 30 * 24 * time.Hour

func (d *doctor) encrypt(c *conn, srv server, bad source.Verdict) bool {
	d.begin()
	if !srv.tls && !d.set.startTLS {
		if d.set.bindDN == "" {
			d.say("TLS", source.Skip, "The connection is not encrypted.", "")
			return true
		}
		d.say("TLS", source.Warn, "The connection is not encrypted: the password and everybody's data can be read on the way.", "Use ldaps:// or set tls.start_tls.")
		return true
	}
	if err := d.set.secure(c, srv); err != nil {
		f := d.set.explain(fmt.Sprintf("begin TLS with %s", srv), err)
		detail := strings.TrimPrefix(f.Error(), "ldap: ")
		if chain := presented(err); len(chain) > 0 {
			detail += "\nThe server showed:\n" + describe(chain)
		}
		d.say("TLS", bad, detail, fault.HintOf(f))
		return false
	}
	state := c.net.(*tls.Conn).ConnectionState()
	detail := tls.VersionName(state.Version) + "\n" + describe(state.PeerCertificates)
	if end := firstToEnd(state.PeerCertificates); time.Until(end.NotAfter) < soon {
		d.say("TLS", source.Warn, detail, fmt.Sprintf("The certificate of %s ends on %s: renew it in time.", end.Subject, day(end.NotAfter)))
		return true
	}
	d.say("TLS", source.OK, detail, "")
	return true
}

func firstToEnd(chain []*x509.Certificate) *x509.Certificate {
	return slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
}

func (d *doctor) signIn(c *conn, srv server) bool {
	d.begin()
	if err := d.set.signIn(c, srv); err != nil {
		d.fail("bind", source.Fail, err)
		return false
	}
	if d.set.bindDN == "" {
		d.say("bind", source.Warn, "No account is set: the directory is read as nobody.", "Most directories show nobody little or nothing: set bind_dn and bind_password.")
		return true
	}
	d.say("bind", source.OK, "signed in as "+d.set.bindDN, "")
	return true
}

func (d *doctor) root(c *conn) *rootDSE {
	d.begin()
	root, err := c.readRoot()
	if err != nil {
		d.fail("root DSE", source.Fail, d.set.explain("read the root DSE", err))
		return nil
	}
	if len(root.attributes) == 0 {
		d.say("root DSE", source.Warn, "The server does not say what it is.", "Set sync.filter and sync.anchor, and ask for the right to read the root DSE: without it pages cannot be used.")
		return root
	}
	vendor := root.preset().vendor
	if name := clean(root.first("vendorName") + " " + root.first("vendorVersion")); name != "" {
		vendor += " (" + name + ")"
	}
	paging := "yes"
	if !root.has("supportedControl", oidPaging) {
		paging = "no: the server must be allowed to answer with everybody at once"
	}
	var contexts []string
	for _, context := range root.contexts() {
		contexts = append(contexts, clean(context))
	}
	step := d.step("root DSE", source.OK, fmt.Sprintf("server: %s\nnaming contexts: %s\npages: %s", vendor, strings.Join(contexts, "; "), paging), "")
	step.Proposal = root.proposal()
	d.report(step)
	return root
}

// people counts everybody with nothing but the external ID, so the answer holds
// for all of them.
func (d *doctor) people(c *conn, root *rootDSE) bool {
	d.begin()
	var faulty, some []string
	count, wrong := 0, 0
	r, err := newReading(c, d.set, root, nil, func(rec *directory.Record) error {
		if count++; len(some) < source.MostNames {
			some = append(some, strings.Clone(rec.Name))
		}
		if rec.ID == "" {
			wrong++
			if len(faulty) < 3 {
				faulty = append(faulty, fmt.Sprintf("%s: %s", strings.Clone(rec.Name), rec.Problem))
			}
		}
		return nil
	})
	var h *half
	if err == nil {
		h, err = r.people()
	}
	if err == nil {
		err = r.whole(h)
	}
	if err != nil {
		step := d.failed("search", source.Fail, err)
		if d.baseless(root, err) {
			step.Section = source.Base
		}
		d.report(step)
		return false
	}
	got := r.end()
	say := func(v source.Verdict, detail, hint string) {
		d.report(d.step("search", v, detail, hint).Counted(count, some))
	}
	found := fmt.Sprintf("%d people below %s with %s", count, quoted(r.base), d.set.presetFor(root).Filter)
	switch {
	case !got.Complete:
		say(source.Warn, found+"\n"+got.Reason+notes(got), "A reading that is not complete removes nobody.")
	case count == 0:
		say(source.Warn, found+notes(got), "Check base_dn and sync.filter, and whether the account may see people.")
	default:
		say(source.OK, found+notes(got), "")
	}
	d.begin()
	switch {
	case count == 0:
		d.say("anchor", source.Skip, "There is nobody to look at.", "")
	case wrong == 0:
		d.say("anchor", source.OK, fmt.Sprintf("every one of them has one %s", r.anchor), "")
	case wrong == count:
		d.say("anchor", source.Fail, fmt.Sprintf("none of them has a usable %s\n%s", r.anchor, strings.Join(faulty, "\n")),
			"Set sync.anchor to an attribute that everybody has and that never changes, or let the account read this one.")
	default:
		d.say("anchor", source.Warn, fmt.Sprintf("%d of %d have no usable %s\n%s", wrong, count, r.anchor, strings.Join(faulty, "\n")), "They are left alone until they have one.")
	}
	return true
}

// logins says how people are found who sign in.
func (d *doctor) logins(root *rootDSE) {
	d.begin()
	d.say("sign-ins", source.OK, fmt.Sprintf("people who sign in are found by %s, %%s being what they type", d.set.loginText(root.preset())), "")
}

// manyGroups is how many it pays to ask for one by one. Beyond that all are read.
const manyGroups = 1000

// membersOf looks at the members of groups for groups that include leaves out.
func (r *reading) membersOf(ids []directory.ExternalID) error {
	if !r.inside() {
		return nil
	}
	again, err := newReading(r.c, r.set, r.dse, nil, func(*directory.Record) error { return nil })
	if err != nil {
		return err
	}
	h, err := again.groups(true)
	if err != nil {
		return err
	}
	if err := again.nameAll(h); err != nil {
		return err
	}
	if len(ids) > manyGroups {
		err = again.whole(h)
	} else {
		keys := make([]string, len(ids))
		for i, id := range ids {
			keys[i] = anchorValue(r.anchor, string(id))
		}
		err = again.fetch(h, keys)
	}
	if err == nil {
		err = again.follow(h)
	}
	r.inner.told, r.inner.more = again.inner.told, again.inner.more
	for _, reason := range again.reasons {
		r.incomplete(reason)
	}
	return err
}

// sample is how many groups a line names.
const sample = 5

func (d *doctor) groups(c *conn, root *rootDSE) bool {
	d.begin()
	if d.set.groups == nil {
		d.say("groups", source.Skip, "No setting below groups: groups are not read.", "")
		return true
	}
	var names []string
	var ids []directory.ExternalID
	r, err := newReading(c, d.set, root, nil, func(rec *directory.Record) error {
		if len(names) < source.MostNames && len(rec.Attributes) > 0 {
			names = append(names, clean(rec.Attributes[0].Values[0]))
		}
		if rec.ID != "" {
			ids = append(ids, directory.ExternalID(strings.Clone(string(rec.ID))))
		}
		return nil
	})
	var h *half
	if err == nil {
		h, err = r.groups(false)
	}
	if err == nil {
		err = r.whole(h)
	}
	if err == nil {
		err = r.membersOf(ids)
	}
	if err != nil {
		d.fail("groups", source.Fail, err)
		return false
	}
	got := r.end()
	say := func(v source.Verdict, detail, hint string) {
		d.report(d.step("groups", v, detail, hint).Counted(got.Groups, names))
	}
	detail := fmt.Sprintf("%d groups", got.Groups)
	if len(names) > 0 {
		detail += ": " + strings.Join(names[:min(sample, len(names))], ", ")
		if len(names) > sample {
			detail += ", …"
		}
	}
	detail += notes(got)
	switch {
	case !got.Complete:
		say(source.Warn, detail+"\n"+got.Reason, "A reading that is not complete removes nobody.")
	case got.Groups == 0:
		say(source.Warn, detail, "Check groups.base_dn, groups.filter and groups.include.")
	default:
		say(source.OK, detail, "")
	}
	return true
}

func notes(r source.Reading) string {
	if len(r.Notes) == 0 {
		return ""
	}
	return "\n" + clipLines(slices.Clone(r.Notes))
}
