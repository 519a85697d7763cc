package admins

import "rollcall.dev/rollcall/internal/fault"

// Role is what an administrator may do.
type Role string

// The roles.
const (
	Operator Role = "operator"      // everything
	Manager  Role = "administrator" // everything of one organization
	Auditor  Role = "auditor"       // reads, of one organization or of all
)

// Roles lists them, the one that may do most first.
func Roles() []Role { return []Role{Operator, Manager, Auditor} }

// CheckRole is a fault.Invalid for a role there is not, or one that does not go
// with an organization ("" for all of them).
func CheckRole(role Role, organization string) error {
	switch {
	case role == Operator && organization != "":
		return fault.New(fault.Invalid, "an operator is not of one organization").WithHint("leave the organization out, or make it an administrator of %s", organization)
	case role == Manager && organization == "":
		return fault.New(fault.Invalid, "an administrator is of one organization").WithHint("name the organization, or make it an operator")
	case role != Operator && role != Manager && role != Auditor:
		return fault.New(fault.Invalid, "there is no role %q", string(role)).WithHint("it is operator, administrator or auditor")
	}
	return nil
}

// rank orders roles by what they may do.
func (r Role) rank() int {
	switch r {
	case Operator:
		return 3
	case Manager:
		return 2
	case Auditor:
		return 1
	}
	return 0
}

// Operates reports whether the administrator is an operator: settings,
// organizations, other operators and what belongs to no organization are theirs.
func (a *Administrator) Operates() bool { return a.Role == Operator }

// Sees reports whether the administrator may read what belongs to an
// organization; "" is what belongs to none.
func (a *Administrator) Sees(organization string) bool {
	return a.Organization == "" || a.Organization == organization
}

// Changes reports whether the administrator may change what belongs to an
// organization; "" is what belongs to none, which only operators change.
func (a *Administrator) Changes(organization string) bool {
	switch a.Role {
	case Operator:
		return true
	case Manager:
		return a.Organization != "" && a.Organization == organization
	case Auditor:
	}
	return false
}

// By is who does something: an administrator, or whoever has the database at hand
// (Admin is nil), who may do everything.
type By struct {
	Admin *Administrator
	Actor string // as events name it
}

// As is an administrator who does something.
func As(a *Administrator) By { return By{Admin: a, Actor: a.Actor()} }

func (b By) sees(a *Administrator) bool {
	return b.Admin == nil || b.Admin.ID == a.ID || b.Admin.Sees(a.Organization)
}

// may is nil where b may make, change or take away somebody of a role: operators
// anybody, administrators of an organization those of theirs.
func (b By) may(role Role, organization string) error {
	if b.Admin == nil || b.Admin.Operates() || role != Operator && organization != "" && b.Admin.Changes(organization) {
		return nil
	}
	return fault.New(fault.Denied, "this is not yours to do").
		WithHint("operators manage everybody; administrators of an organization manage its administrators and auditors")
}
