package simulator

import (
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

// role is a personality at work in one server. Most roles are a common with some
// methods of their own.
type role interface {
	tree() *tree.Tree
	rootDSE(c *conn) []tree.Attribute
	rootOperational(name string) bool
	mayAskRoot(s *search) *wire.Result
	// knows reports a control, for an operation.
	knows(oid string, op any) bool
	bind(c *conn, b *wire.Bind) wire.Result
	extended(c *conn, e *wire.Extended) wire.Result
	// edit carries out a *wire.Modify, *wire.Add, *wire.Delete, *wire.ModifyDN or *wire.Compare.
	edit(c *conn, r *wire.Request) wire.Result
	// resolve gives the key of a base.
	resolve(base string) (string, error)
	search(s *search) wire.Result
	// visible reports whether an entry may be seen at all.
	visible(s *search, e *tree.Entry) bool
	missing() string   // the text of noSuchObject
	overLimit() string // the text of sizeLimitExceeded
	// refuseEntry may end a search at an entry.
	refuseEntry(s *search, e *tree.Entry) *wire.Result

	shows(attribute string) bool
	computed(attribute string) *computed
	computeds() []computed
	expand(attribute, value string) string
	shape(s *search, e *tree.Entry, attributes []tree.Attribute) []tree.Attribute
	// forget loses what is remembered of changes.
	forget()
}

// Account is a name and its password.
type Account struct{ DN, Password string }

// common is what the roles share.
type common struct {
	s     *Server
	list  []computed
	by    map[string]*computed
	oids  []string // controls, as in supportedControl
	other []string // extensions
	admin Account  // may write; its entry need not exist
}

func (r *common) compute(list ...computed) {
	r.list = list
	r.by = make(map[string]*computed, len(list))
	for i := range list {
		r.by[strings.ToLower(list[i].name)] = &list[i]
	}
}

func (r *common) tree() *tree.Tree { return r.s.Tree }

func (r *common) mayAskRoot(*search) *wire.Result { return nil }

func (r *common) knows(oid string, _ any) bool { return slices.Contains(r.oids, oid) }

func (r *common) resolve(base string) (string, error) {
	key, err := tree.Key(base)
	if err != nil {
		return "", &tree.Error{Code: wire.InvalidDN, Text: "invalid DN"}
	}
	return key, nil
}

func (r *common) visible(*search, *tree.Entry) bool { return true }

func (r *common) missing() string { return "" }

func (r *common) overLimit() string { return "" }

func (r *common) refuseEntry(*search, *tree.Entry) *wire.Result { return nil }

func (r *common) shows(string) bool { return true }

func (r *common) computed(attribute string) *computed { return r.by[strings.ToLower(attribute)] }

func (r *common) computeds() []computed { return r.list }

func (r *common) expand(_, value string) string { return value }

func (r *common) shape(_ *search, _ *tree.Entry, attributes []tree.Attribute) []tree.Attribute {
	return attributes
}

// bind signs in by DN and userPassword. A DN without a password is refused, as
// OpenLDAP and 389 DS do.
func (r *common) bind(c *conn, b *wire.Bind) wire.Result {
	switch {
	case !b.Simple:
		return wire.Result{Code: wire.AuthMethodNotKnown, Text: "SASL is not available"}
	case b.Name == "" && b.Password == "":
		return wire.Result{}
	case b.Password == "":
		return wire.Result{Code: wire.UnwillingToPerform, Text: "unauthenticated bind (DN with no password) disallowed"}
	}
	key, err := tree.Key(b.Name)
	if err != nil {
		return wire.Result{Code: wire.InvalidDN, Text: "invalid DN"}
	}
	if r.isAdmin(key) && b.Password == r.admin.Password {
		c.signIn(r.admin.DN, key)
		return wire.Result{}
	}
	e := r.s.Tree.Lookup(key)
	if e == nil || !slices.Contains(e.Get("userPassword"), b.Password) {
		return wire.Result{Code: wire.InvalidCredentials}
	}
	c.signIn(e.DN, e.Key)
	return wire.Result{}
}

func (r *common) isAdmin(key string) bool {
	admin, err := tree.Key(r.admin.DN)
	return err == nil && key != "" && key == admin
}

// extended knows who the client is (RFC 4532).
func (r *common) extended(c *conn, e *wire.Extended) wire.Result {
	if e.OID != wire.OIDWhoAmI || !slices.Contains(r.other, e.OID) {
		return wire.Result{Code: wire.ProtocolError, Text: "unsupported extended operation"}
	}
	dn, _ := c.who()
	if dn != "" {
		dn = "dn:" + dn
	}
	return wire.Result{Value: &dn}
}

// edit lets the administrator write.
func (r *common) edit(c *conn, request *wire.Request) wire.Result {
	if _, key := c.who(); !r.isAdmin(key) {
		return wire.Result{Code: wire.InsufficientAccess, Text: "no write access"}
	}
	return carryOut(r.s.Tree, request.Op)
}

// carryOut does an edit to a tree.
func carryOut(t *tree.Tree, op any) wire.Result {
	switch op := op.(type) {
	case *wire.Add:
		_, err := t.Insert(op.DN, op.Attributes)
		return wire.ResultFor(err)
	case *wire.Modify:
		return wire.ResultFor(t.Modify(op.DN, op.Mods...))
	case *wire.ModifyDN:
		return wire.ResultFor(t.Rename(op.DN, op.RDN, op.DeleteOld, op.Above))
	case *wire.Delete:
		return wire.ResultFor(t.Delete(op.DN))
	case *wire.Compare:
		e := t.Find(op.DN)
		if e == nil {
			return wire.Result{Code: wire.NoSuchObject}
		}
		kind := t.Schema().Type(op.Attr)
		if !kind.Secret && slices.ContainsFunc(e.Get(op.Attr), func(v string) bool { return kind.Syntax.Equal(v, op.Value) }) {
			return wire.Result{Code: wire.CompareTrue}
		}
		return wire.Result{Code: wire.CompareFalse}
	}
	return wire.Result{Code: wire.ProtocolError, Text: "unknown operation"}
}
