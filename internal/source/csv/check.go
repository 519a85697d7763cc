package csv

import (
	"context"
	"crypto/tls"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// sections are the parts of the settings that steps are about.
var sections = map[string]source.Section{
	"DNS": source.Address, "TCP": source.Address, "TLS": source.TLS, "HTTP": source.Address, "file": source.Address,
	"encoding": source.Layout, "separator": source.Layout, "header": source.Layout, "key column": source.Layout, "rows": source.Users,
}

// Check goes from the file or the server to the rows.
func (t *table) Check(ctx context.Context, tell func(source.Step)) {
	report := func(s source.Step) {
		if s.Section == "" {
			s.Section = sections[s.Name]
		}
		tell(s)
	}
	if t.url != nil {
		limited, cancel := t.limit(ctx)
		defer cancel()
		if !t.checkNetwork(limited, report) {
			return
		}
	}
	name := "file"
	if t.url != nil {
		name = "HTTP"
	}
	start := time.Now()
	f, err := t.openCopy(ctx, nil)
	if err != nil {
		step := failed(name, start, err)
		if t.url != nil && fault.KindOf(err) == fault.Denied {
			step.Section = source.SignIn
		}
		report(step)
		return
	}
	defer f.Close() //nolint:errcheck // only read
	detail := fmt.Sprintf("%s, %d bytes", t.where(), f.info.Size())
	if t.url == nil {
		detail += ", last changed " + f.info.ModTime().Format(time.DateTime)
	}
	report(passed(name, start, detail))
	t.checkTable(ctx, f, report)
}

// checkTable reports what kind of table it is and goes through its rows.
func (t *table) checkTable(ctx context.Context, f *copyOf, report func(source.Step)) {
	start := time.Now()
	p := &pass{table: t, file: f, seed: maphash.MakeSeed()}
	head, utf8Text, err := p.scan(ctx)
	if err == nil {
		p.layout, err = t.inspect(head, utf8Text)
	}
	if err != nil {
		report(failed("header", start, err))
		return
	}
	how := "set"
	if t.settings.String("encoding") == "auto" {
		how = "found"
	}
	report(passed("encoding", start, p.layout.encoding+" ("+how+")"))
	found := &source.Proposal{Vendor: "CSV", Columns: slices.Clone(p.layout.header), Encoding: p.layout.encoding,
		Separator: map[rune]string{',': "comma", ';': "semicolon", '\t': "tab"}[p.layout.separator]}
	report(passed("separator", start, found.Separator))
	columns, err := t.resolve(p.layout.header)
	if err != nil {
		step := failed("key column", start, err)
		step.Proposal = found // which columns there are is what one needs to mend it
		report(step)
		return
	}
	step := passed("header", start, "columns: "+strings.Join(p.layout.header, ", "))
	mapped := columns.mapping()
	for _, field := range []string{"username", "email", "first_name", "last_name"} {
		if _, ok := mapped[field]; !ok {
			step.Verdict = source.Warn
			step.Detail += "\nno column for " + field
			step.Hint = "rename the column or name it in columns, unless the mapping has a rule of its own"
		}
	}
	found.Anchor, found.Mapping, step.Proposal = p.layout.header[columns.key], mapped, found
	report(step)
	report(passed("key column", start, found.Anchor))
	t.checkRows(ctx, f, report)
}

func (t *table) checkRows(ctx context.Context, f *copyOf, report func(source.Step)) {
	start := time.Now()
	if _, err := f.Seek(0, 0); err != nil {
		report(failed("rows", start, err))
		return
	}
	p, err := t.prepare(ctx, f)
	if err != nil {
		report(failed("rows", start, err))
		return
	}
	people, wrong, some := 0, []string{}, []string{}
	reading, err := p.emitAll(ctx, nil, func(r *directory.Record) error {
		if r.Problem == "" {
			if people++; len(some) < source.MostNames {
				some = append(some, strings.Clone(r.Name))
			}
		} else {
			wrong = append(wrong, r.Problem)
		}
		return nil
	})
	if err != nil {
		report(failed("rows", start, err))
		return
	}
	step := passed("rows", start, source.Counted(people, "person", "people")).Counted(people, some)
	if len(wrong) > 0 || people == 0 {
		step.Verdict = source.Warn
	}
	if n := len(wrong); n > 0 {
		step.Detail += fmt.Sprintf(", %s that cannot be used:\n%s", source.Counted(n, "row", "rows"), strings.Join(wrong[:min(n, 10)], "\n"))
		if n > 10 {
			step.Detail += fmt.Sprintf("\nand %d more", n-10)
		}
		step.Hint = "correct these rows; the others are read nevertheless"
	}
	if !reading.Complete {
		step.Verdict = source.Warn
		step.Detail += "\nnot complete: " + reading.Reason
		if step.Hint == "" {
			step.Hint = "give the file anew, whole; until then nobody counts as gone"
		}
	}
	for _, note := range reading.Notes {
		step.Detail += "\n" + note
	}
	report(step)
}

// checkNetwork tries name, connection and certificate one by one.
func (t *table) checkNetwork(ctx context.Context, report func(source.Step)) bool {
	start := time.Now()
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: t.url})
	if err != nil || proxy != nil {
		for _, name := range []string{"DNS", "TCP", "TLS"} {
			report(source.Step{Name: name, Verdict: source.Skip, Detail: "through the proxy of the environment"})
		}
		return true
	}
	host := t.url.Hostname()
	if net.ParseIP(host) != nil {
		report(source.Step{Name: "DNS", Verdict: source.Skip, Detail: host + " is an address"})
	} else {
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			report(failed("DNS", start, fault.New(fault.Unavailable, "csv: look up %s: %w", host, err).WithHint("check the host name in url")))
			return false
		}
		report(passed("DNS", start, host+" is "+strings.Join(found, ", ")))
	}
	start = time.Now()
	transport := t.client.Transport.(*authorise).base.(*http.Transport)
	conn, err := transport.DialContext(ctx, "tcp", port(t.url))
	if fault.KindOf(err) == fault.Denied && err != nil {
		report(failed("TCP", start, t.unreachable(ctx, err)))
		return false
	}
	if err != nil {
		report(failed("TCP", start, fault.New(fault.Unavailable, "csv: connect to %s: %w", port(t.url), err).
			WithHint("is the server up, and does a firewall let us through?")))
		return false
	}
	defer conn.Close() //nolint:errcheck // only looked at
	report(passed("TCP", start, conn.RemoteAddr().String()))
	if t.url.Scheme != "https" {
		report(source.Step{Name: "TLS", Verdict: source.Skip, Detail: "http, on this machine"})
		return true
	}
	start = time.Now()
	config := transport.TLSClientConfig.Clone()
	config.ServerName = host
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		report(failed("TLS", start, t.unreachable(ctx, err)))
		return false
	}
	leaf := secure.ConnectionState().PeerCertificates[0]
	step := passed("TLS", start, fmt.Sprintf("%s, issued by %s, valid until %s", tls.VersionName(secure.ConnectionState().Version),
		leaf.Issuer, leaf.NotAfter.Format(time.DateOnly)))
	if time.Until(leaf.NotAfter) < 30*24*time.Hour {
		step.Verdict, step.Hint = source.Warn, "the certificate expires soon"
	}
	report(step)
	return true
}

func passed(name string, start time.Time, detail string) source.Step {
	return source.Step{Name: name, Verdict: source.OK, Detail: detail, Took: time.Since(start)}
}

func failed(name string, start time.Time, err error) source.Step {
	return source.Step{Name: name, Verdict: source.Fail, Detail: err.Error(), Hint: fault.HintOf(err), Took: time.Since(start)}
}
