package plan

import (
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
)

// Narrow says which changes of a plan somebody wants to see. Zero fields do not
// narrow.
type Narrow struct {
	Actions []Action
	Target  Target
	Word    string // in the name, the external ID, the reason or a value, in any case
	// Accounts are those whom a row is of: of a membership, the member.
	Accounts []account.ID
}

// Of reports a row of one of the accounts that are wanted.
func (n *Narrow) Of(r *Row) bool {
	return len(n.Accounts) == 0 || r.Account != nil && slices.Contains(n.Accounts, *r.Account)
}

// kindOf is a kind of changes in the words of Chunk.Kinds.
func kindOf(a Action, t Target) string { return string(a) + " " + string(t) }

// MayHold reports whether a chunk that holds such kinds of changes may hold one that
// is wanted. Of chunks from before kinds were kept, which have none, nothing is known.
func (n *Narrow) MayHold(kinds string) bool {
	if kinds == "" || len(n.Actions) == 0 && n.Target == "" {
		return true
	}
	for kind := range strings.SplitSeq(kinds, ",") {
		action, target, _ := strings.Cut(kind, " ")
		if (n.Target == "" || n.Target == Target(target)) && (len(n.Actions) == 0 || slices.Contains(n.Actions, Action(action))) {
			return true
		}
	}
	return false
}

// mayHold looks at a change as it is stored, so that of many the few are decoded
// that are wanted.
func (n *Narrow) mayHold(r changeReader) bool {
	if len(n.Actions) == 0 && n.Target == "" && n.Word == "" && len(n.Accounts) == 0 {
		return true
	}
	raw := r.text
	for range 3 { // seq, version, fields
		r.uvarint()
	}
	flags := r.uvarint()
	action, target := Action(r.string()), Target(r.string())
	if len(n.Accounts) > 0 && target != Membership {
		for range 4 { // external ID, name, reason, organization
			r.string()
		}
		var id account.ID
		if flags&flagAccount != 0 {
			id = r.id()
		}
		if !r.bad && !slices.Contains(n.Accounts, id) {
			return false
		}
	}
	return r.bad || (n.Target == "" || n.Target == target) && (len(n.Actions) == 0 || slices.Contains(n.Actions, action)) && contains(raw, n.Word)
}

// contains reports whether a text holds a folded word: surely where the word is of
// other letters than a to z, which only folding finds.
func contains(text, word string) bool {
	if word == "" {
		return true
	}
	for i := range len(word) {
		if word[i] >= 0x80 {
			return true
		}
	}
	upper := word[0]
	if 'a' <= upper && upper <= 'z' {
		upper -= 'a' - 'A'
	}
	for i := 0; i+len(word) <= len(text); i++ {
		if c := text[i]; (c == word[0] || c == upper) && strings.EqualFold(text[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// holds reports a change that is wanted. The word is folded.
func (n *Narrow) holds(c *Change) bool {
	if len(n.Accounts) > 0 && c.Target == Membership && !slices.ContainsFunc(c.Members, func(m account.ID) bool { return slices.Contains(n.Accounts, m) }) {
		return false
	}
	if n.Word == "" {
		return true // mayHold has seen the rest
	}
	for _, text := range []string{c.Name, string(c.ExternalID), c.GroupName[0], c.GroupName[1], c.Why} {
		if strings.Contains(account.Fold(text), n.Word) {
			return true
		}
	}
	for _, a := range []*account.Account{c.Before, c.After} {
		if a == nil {
			continue
		}
		for _, text := range a.Text {
			if text != "" && strings.Contains(account.Fold(text), n.Word) {
				return true
			}
		}
		if strings.Contains(account.Fold(a.Attributes), n.Word) {
			return true
		}
	}
	return false
}
