package ldap

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/setting"
)

// fake is a server that does what no real one does when asked to. It answers
// binds and the root DSE; the script answers every other search.
type fake struct {
	url    string
	root   map[string][]string
	script func(c *fakeConn, q request) (goOn bool)
	knows  []string      // controls the script answers; others that are critical are refused
	asked  chan struct{} // told of each question for the root DSE
}

// request is a search as the fake was asked it.
type request struct {
	base       string
	scope      int
	attributes []string
	sizeLimit  int
	pageSize   int
	cookie     string
	filter     string
	controls   map[string]cursor // their values
	critical   []string          // those the client insists on
}

type fakeConn struct {
	net.Conn
	w  writer
	id int
}

var adRoot = map[string][]string{
	"supportedControl": {oidPaging}, "supportedCapabilities": {oidActiveDirectory},
	"namingContexts": {"DC=x", "CN=Configuration,DC=x"}, "defaultNamingContext": {"DC=x"},
}

var plainRoot = map[string][]string{"supportedControl": {oidPaging}, "namingContexts": {"dc=x"}}

func startFake(t *testing.T, root map[string][]string, script func(c *fakeConn, q request) bool) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{url: "ldap://" + l.Addr().String(), root: root, script: script, asked: make(chan struct{}, 100)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			n, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { f.serve(&fakeConn{Conn: n}) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return f
}

func (f *fake) settings(more setting.Values) setting.Values {
	v := setting.Values{"addr": []string{f.url}, "bind_dn": "cn=reader", "bind_password": "secret"}
	for k, x := range more {
		v[k] = x
	}
	return v
}

func (f *fake) serve(c *fakeConn) {
	defer c.Close()
	in := frames{src: c.Conn, buf: make([]byte, readAhead), max: maxFrame}
	for {
		frame, err := in.next()
		if err != nil {
			return
		}
		id, m, err := decodeMessage(frame)
		if err != nil {
			return
		}
		c.id = id
		switch m.tag {
		case opBind:
			c.result(opBindResponse, 0, "")
		case opSearch:
			q, err := decodeRequest(m)
			if err != nil {
				return
			}
			if i := slices.IndexFunc(q.critical, func(oid string) bool { return !slices.Contains(f.knows, oid) }); i >= 0 {
				c.done(codeUnavailableCritical, q.critical[i])
			} else if q.base == "" && q.scope == scopeBase {
				select {
				case f.asked <- struct{}{}:
				default:
				}
				var pairs []string
				for k, values := range f.root {
					for _, v := range values {
						pairs = append(pairs, k, v)
					}
				}
				c.entry("", pairs...)
				c.done(0, "")
			} else if !f.script(c, q) {
				return
			}
		default:
			return
		}
	}
}

func decodeRequest(m message) (q request, err error) {
	steps := []func(){
		func() { var c cursor; c, err = m.op.take(tagOctetString); q.base = string(c) },
		func() { q.scope, err = m.op.integer(tagEnumerated) },
		func() { _, err = m.op.integer(tagEnumerated) },
		func() { q.sizeLimit, err = m.op.integer(tagInteger) },
		func() { _, err = m.op.integer(tagInteger) },
		func() { _, err = m.op.take(tagBoolean) },
		func() {
			whole := m.op
			_, _, err = m.op.next()
			q.filter = string(whole[:len(whole)-len(m.op)])
		},
		func() {
			var list, a cursor
			for list, err = m.op.take(tagSequence); err == nil && len(list) > 0; q.attributes = append(q.attributes, string(a)) {
				a, err = list.take(tagOctetString)
			}
		},
		func() { err = q.takeControls(m.controls) },
	}
	for _, step := range steps {
		if step(); err != nil {
			return q, err
		}
	}
	return q, nil
}

func (q *request) takeControls(controls cursor) error {
	q.controls = map[string]cursor{}
	for len(controls) > 0 {
		control, err := controls.take(tagSequence)
		if err != nil {
			return err
		}
		oid, err := control.take(tagOctetString)
		if err != nil {
			return err
		}
		q.controls[string(oid)] = ""
		for len(control) > 0 {
			tag, content, err := control.next()
			switch {
			case err != nil:
				return err
			case tag == tagOctetString:
				q.controls[string(oid)] = content
			case tag == tagBoolean && content == "\xff":
				q.critical = append(q.critical, string(oid))
			}
		}
	}
	value, ok := q.controls[oidPaging]
	if !ok {
		return nil
	}
	value, err := value.take(tagSequence)
	if err != nil {
		return err
	}
	if q.pageSize, err = value.integer(tagInteger); err != nil {
		return err
	}
	cookie, err := value.take(tagOctetString)
	q.cookie = string(cookie)
	return err
}

// send writes a message; a client that has gone away is noticed by the next read.
func (c *fakeConn) send(op func(w *writer)) {
	c.w.reset()
	c.w.begin(tagSequence)
	c.w.integer(tagInteger, c.id)
	op(&c.w)
	c.w.end()
	_, _ = c.Write(c.w.b)
}

// entry sends an entry; pairs are attribute, value, attribute, value. Values of
// one attribute stand one after the other. An attribute "member=" has no values.
func (c *fakeConn) entry(dn string, pairs ...string) { c.entryWith(nil, dn, pairs...) }

// entryWith sends an entry with controls.
func (c *fakeConn) entryWith(controls []control, dn string, pairs ...string) {
	c.send(func(w *writer) {
		w.begin(opEntry)
		w.string(tagOctetString, dn)
		w.begin(tagSequence)
		for i := 0; i < len(pairs); {
			name := pairs[i]
			w.begin(tagSequence)
			w.string(tagOctetString, strings.TrimSuffix(name, "="))
			w.begin(tagSet)
			for ; i < len(pairs) && pairs[i] == name; i += 2 {
				if !strings.HasSuffix(name, "=") {
					w.string(tagOctetString, pairs[i+1])
				}
			}
			w.end()
			w.end()
		}
		w.end()
		w.end()
		w.controls(controls)
	})
}

// info sends an intermediate message with a Sync Info value.
func (c *fakeConn) info(value string) {
	c.send(func(w *writer) {
		w.begin(opIntermediate)
		w.string(0x80, oidSyncInfo)
		w.string(0x81, value)
		w.end()
	})
}

func (c *fakeConn) reference(uris ...string) {
	c.send(func(w *writer) {
		w.begin(opReference)
		for _, u := range uris {
			w.string(tagOctetString, u)
		}
		w.end()
	})
}

// done ends a search without paging, page one with it.
func (c *fakeConn) done(code int, text string) { c.result(opDone, code, text) }
func (c *fakeConn) page(code int, text string, cookie string) {
	c.result(opDone, code, text, pagingControl(0, cookie))
}

func (c *fakeConn) result(tag byte, code int, text string, controls ...control) {
	c.send(func(w *writer) {
		w.begin(tag)
		w.integer(tagEnumerated, code)
		w.string(tagOctetString, "")
		w.string(tagOctetString, text)
		if code == codeReferral {
			w.begin(0xa3)
			w.string(tagOctetString, "ldap://other/dc=x")
			w.end()
		}
		w.end()
		w.controls(controls)
	})
}
