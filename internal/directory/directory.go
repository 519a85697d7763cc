// Package directory holds the words for what a directory says: records as a
// source gives them, before anything is chosen, renamed or decided. Sources
// hand them to the mirror, which keeps them for every later stage.
package directory

import (
	"crypto/sha256"
	"strings"
)

// Kind tells people and groups apart.
type Kind uint8

// The kinds of records there are.
const (
	User  Kind = 1
	Group Kind = 2
	// Inner is a group that is not selected itself and lies in one that is, however deep:
	// it is read for the sake of its members alone, who are members of that one too.
	Inner Kind = 3
)

func (k Kind) String() string {
	switch k {
	case User:
		return "user"
	case Group:
		return "group"
	case Inner:
		return "inner group"
	}
	return "unknown"
}

// ExternalID is the source's immutable key for an entry, in its usual text
// form (an objectGUID as "8-4-4-4-12" hex, a CSV key as it stands).
type ExternalID string

// Attribute is one attribute with every value the source gave, in the source's
// order and under the source's own name. Values are bytes: text is UTF-8, a
// binary attribute (an objectSid) is kept as it came.
type Attribute struct {
	Name   string
	Values []string
}

// Record is one entry as given. A source may reuse the record and its slices
// after emit returns; whoever keeps one clones it.
type Record struct {
	Kind Kind
	// ID is empty only together with Problem: the entry is there, but has no
	// usable key. It then counts as present under its Ref and changes nothing.
	ID ExternalID
	// Name is what a person recognises the entry by: a DN, a CSV key.
	Name string
	// Ref is what other records call this one (in members, as manager), as
	// spelled by the source. Often the same string as Name.
	Ref        string
	Attributes []Attribute
	// Members of a group, as refs. All of them: a source that could not read
	// every member reports the reading as incomplete.
	Members []string
	// Primary is the ref of a group this person is in without being among its
	// members (Active Directory's primaryGroupID), or "".
	Primary string
	// Password is the plain password a CSV row carries. It is never part of
	// the encoded form, the hash, a log or an error.
	Password string
	// Gone marks a removal in an incremental reading. Kind and ID say of what.
	// Of several reports of one entry in such a reading the last holds.
	Gone bool
	// Present says in an incremental reading that the entry (Kind and ID) is still
	// there, and nothing of its contents.
	Present bool
	// Problem says why the entry cannot be used as it is, in one sentence.
	Problem string
}

// Digest is a 128-bit fingerprint (SHA-256, cut). It stands for an external ID,
// a ref or a record's content wherever millions of them are held or compared.
type Digest [16]byte

// KeyOf is the digest by which the mirror knows an entry: kind and external ID. A group
// keeps its own when it is selected, or is not any more.
func KeyOf(kind Kind, id ExternalID) Digest {
	if kind == Inner {
		kind = Group
	}
	b := make([]byte, 0, 64)
	b = append(b, byte(kind))
	b = append(b, id...)
	return Sum(b)
}

// RefOf is the digest of a ref after the source's kind normalised it.
func RefOf(normalised string) Digest {
	return Sum([]byte(normalised))
}

// Sum is the digest of bytes.
func Sum(b []byte) Digest {
	s := sha256.Sum256(b)
	return Digest(s[:16])
}

// Get gives the values of an attribute, compared without case, or nil.
func (r *Record) Get(name string) []string {
	for i := range r.Attributes {
		if strings.EqualFold(r.Attributes[i].Name, name) {
			return r.Attributes[i].Values
		}
	}
	return nil
}

// First gives the first value of an attribute, or "".
func (r *Record) First(name string) string {
	if v := r.Get(name); len(v) > 0 {
		return v[0]
	}
	return ""
}
