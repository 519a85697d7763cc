package scim

// MemberKind is what happens to members of a group.
type MemberKind string

// The kinds of changes to members.
const (
	MemberAdd         MemberKind = "add"
	MemberRemove      MemberKind = "remove"
	MemberReplace     MemberKind = "replace"      // these are members, and no others
	MemberRemoveWhere MemberKind = "remove-where" // those that Filter is true of
)

// MemberChange is one change to the members of a group.
type MemberChange struct {
	Kind    MemberKind
	Members []Object // each with `value`, and maybe `display` and `type`; nil for MemberRemoveWhere
	Filter  *Filter  // of MemberRemoveWhere; its paths are relative to a member
}

// editMembers is edit of the members of a group. Entra ID removes members by naming
// them in the value of the operation: who overlooks that removes all of them. So
// only two operations remove everybody: removing without any value, and replacing
// by a list that is written and empty.
func (e *editor) editMembers(op string, p Path, v any, has, within bool) error {
	switch {
	case within && v == nil:
		return nil
	case p.Sub != "":
		return Bad(InvalidPath, "%s: members are added and removed whole", p)
	case p.Filter != nil:
		return e.editMember(op, p, v)
	case op == "remove" && !has:
		e.note(MemberReplace, []Object{})
		return nil
	case !has, v == nil:
		return Bad(InvalidValue, "%s: the operation %s has no members in its value", p, op)
	}
	members, err := takeMembers(v)
	if err != nil {
		return err
	}
	switch {
	case op == "replace":
		e.note(MemberReplace, members)
	case len(members) == 0:
	case op == "add":
		e.note(MemberAdd, members)
	default:
		e.note(MemberRemove, members)
	}
	return nil
}

// editMember is editMembers of those that a filter chooses.
func (e *editor) editMember(op string, p Path, v any) error {
	ids, ok := identifiers(p.Filter)
	switch {
	case op == "remove" && ok:
		members, err := takeMembers(ids)
		if err != nil {
			return err
		}
		e.note(MemberRemove, members)
	case op == "remove":
		e.members = append(e.members, MemberChange{Kind: MemberRemoveWhere, Filter: p.Filter})
	case !ok || len(ids) != 1:
		return Bad(NoTarget, "%s does not say who is to be a member", p)
	default:
		m, _ := clone(asObject(v)).(Object)
		m["value"] = ids[0]
		members, err := takeMembers(m)
		if err != nil {
			return err
		}
		e.note(MemberAdd, members)
	}
	return nil
}

func (e *editor) note(kind MemberKind, members []Object) {
	e.members = append(e.members, MemberChange{Kind: kind, Members: members})
}

// identifiers are those that a filter names: `value eq "5"`, or some joined by or.
func identifiers(f *Filter) (ids []any, ok bool) {
	switch f.Op {
	case Or:
		l, lok := identifiers(f.Left)
		r, rok := identifiers(f.Right)
		return append(l, r...), lok && rok
	case Eq:
		id, isPlain := plain(f.Value)
		return []any{id}, isPlain && f.Path.Attr == "value" && f.Path.Sub == ""
	default:
		return nil, false
	}
}
