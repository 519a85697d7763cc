package directory

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// anna is a record with something in every place.
func anna() *Record {
	return &Record{
		Kind: User, ID: "13121110-1514", Name: "CN=Änna,DC=x", Ref: "CN=Änna,DC=x", Problem: "The entry is odd.",
		Attributes: []Attribute{
			{Name: "mail", Values: []string{"anna@x.org", "a.ames@x.org"}},
			{Name: "objectSid", Values: []string{"\x00\xff\x01"}},
			{Name: "cn", Values: []string{"Änna", ""}},
		},
		Members: []string{"CN=Bo,DC=x", "CN=Cy,DC=x"},
	}
}

func TestAStoredRecordComesBackAsItWas(t *testing.T) {
	for _, c := range []struct {
		name string
		r    *Record
	}{
		{"a record with everything", anna()},
		{"an empty one", &Record{}},
		{"a group of nobody", &Record{Kind: Group, ID: "g", Name: "g", Ref: "g"}},
		{"an attribute without values", &Record{Kind: User, Attributes: []Attribute{{Name: "mail"}}}},
		{"a long value", &Record{Kind: User, Attributes: []Attribute{{Name: "jpegPhoto", Values: []string{strings.Repeat("x", 200_000)}}}}},
		{"many members", &Record{Kind: Group, Members: slices.Repeat([]string{"uid=anna,dc=x"}, 10_000)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Record{Name: "what was there before", Members: []string{"x"}, Password: "x", Gone: true}
			if err := got.Decode(c.r.Append(nil)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(&got, c.r) {
				t.Errorf("%.200v\nwant\n%.200v", got, *c.r)
			}
		})
	}
}

func TestAnyRecordComesBackAsItWas(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var shared Decoder
	for range 500 {
		r := random(rng)
		prefix := []byte("before")
		b := r.Append(prefix)
		if !bytes.HasPrefix(b, prefix) {
			t.Fatalf("% x does not stand behind what was there", b)
		}
		var got Record
		if err := got.Decode(b[len(prefix):]); err != nil || !reflect.DeepEqual(&got, r) {
			t.Fatalf("%+v, %v\nwant\n%+v", got, err, *r)
		}
		if err := shared.Decode(b[len(prefix):], &got); err != nil || !reflect.DeepEqual(&got, r) {
			t.Fatalf("in one room: %+v, %v\nwant\n%+v", got, err, *r)
		}
	}
}

func random(rng *rand.Rand) *Record {
	text := func() string {
		b := make([]byte, rng.IntN(5))
		for i := range b {
			b[i] = byte(rng.IntN(256))
		}
		return string(b)
	}
	texts := func() []string {
		var out []string
		for range rng.IntN(4) {
			out = append(out, text())
		}
		return out
	}
	r := &Record{Kind: Kind(rng.IntN(3)), ID: ExternalID(text()), Name: text(), Ref: text(), Problem: text(), Members: texts()}
	for range rng.IntN(4) {
		r.Attributes = append(r.Attributes, Attribute{Name: text(), Values: texts()})
	}
	return r
}

func TestADamagedRecordIsAnErrorAndLeavesNothing(t *testing.T) {
	whole := anna().Append(nil)
	check := func(what string, b []byte) {
		r := Record{Name: "what was there before"}
		if err := r.Decode(b); err == nil || !strings.Contains(err.Error(), "rollcall connections reset") || !reflect.DeepEqual(r, Record{}) {
			t.Errorf("%s: %v, %+v", what, err, r)
		}
	}
	for n := range whole {
		check(fmt.Sprintf("the first %d bytes", n), whole[:n])
	}
	check("a byte more", append(slices.Clone(whole), 0))
	check("another version", append([]byte{encodingVersion + 1}, whole[1:]...))
	check("a length over everything", []byte{encodingVersion, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	check("a length without end", append([]byte{encodingVersion, 1}, bytes.Repeat([]byte{0xff}, 20)...))
}

func FuzzDecode(f *testing.F) {
	f.Add(anna().Append(nil))
	f.Add((&Record{}).Append(nil))
	f.Add([]byte{encodingVersion, 2, 0x80, 0x00, 0, 0, 0, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again Record
		if r.Decode(b) != nil {
			return
		}
		if err := again.Decode(r.Append(nil)); err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("% x gives %+v, and then %+v, %v", b, r, again, err)
		}
	})
}

func TestAPasswordIsNeverWrittenDown(t *testing.T) {
	r := anna()
	without := r.Append(nil)
	var h Hasher
	hash := h.Hash(r, "")
	r.Password, r.Gone = "correct horse battery staple", true
	if b := r.Append(nil); !bytes.Equal(b, without) {
		t.Errorf("the encoded form depends on it: %q", b)
	}
	if h.Hash(r, "") != hash {
		t.Error("the hash depends on it")
	}
}

func TestTheOrderADirectoryAnswersInDoesNotCount(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var h Hasher
	want := h.Hash(anna(), "salt")
	for range 100 {
		r := anna()
		rng.Shuffle(len(r.Attributes), func(i, j int) { r.Attributes[i], r.Attributes[j] = r.Attributes[j], r.Attributes[i] })
		for _, list := range [][]string{r.Members, r.Get("mail"), r.Get("cn")} {
			rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		given := r.Append(nil)
		if h.Hash(r, "salt") != want {
			t.Fatalf("another hash for %+v", *r)
		}
		if !bytes.Equal(r.Append(nil), given) {
			t.Fatal("hashing changed the record")
		}
	}
}

func TestWhateverElseChangesIsNoticed(t *testing.T) {
	var h Hasher
	seen := map[Digest]string{h.Hash(anna(), "salt"): "nothing"}
	for _, c := range []struct {
		name   string
		salt   string
		change func(r *Record)
	}{
		{"the salt", "other", func(*Record) {}},
		{"no salt", "", func(*Record) {}},
		{"the kind", "salt", func(r *Record) { r.Kind = Group }},
		{"the external ID", "salt", func(r *Record) { r.ID = "13121110-1515" }},
		{"the name", "salt", func(r *Record) { r.Name = "CN=Anna,DC=x" }},
		{"the name's case", "salt", func(r *Record) { r.Name = "cn=Änna,DC=x" }},
		{"the ref", "salt", func(r *Record) { r.Ref = "CN=Anna,DC=x" }},
		{"the problem", "salt", func(r *Record) { r.Problem = "" }},
		{"a value", "salt", func(r *Record) { r.Attributes[0].Values[1] = "b.ames@x.org" }},
		{"a value's case", "salt", func(r *Record) { r.Attributes[0].Values[1] = "A.ames@x.org" }},
		{"a value's last byte", "salt", func(r *Record) { r.Attributes[1].Values[0] = "\x00\xff\x02" }},
		{"a value more", "salt", func(r *Record) { r.Attributes[0].Values = append(r.Attributes[0].Values, "c@x.org") }},
		{"the same value twice", "salt", func(r *Record) { r.Attributes[0].Values = append(r.Attributes[0].Values, "anna@x.org") }},
		{"a value less", "salt", func(r *Record) { r.Attributes[0].Values = r.Attributes[0].Values[:1] }},
		{"an empty value less", "salt", func(r *Record) { r.Attributes[2].Values = r.Attributes[2].Values[:1] }},
		{"an attribute's name", "salt", func(r *Record) { r.Attributes[0].Name = "Mail" }},
		{"an attribute less", "salt", func(r *Record) { r.Attributes = r.Attributes[:2] }},
		{"an attribute without values more", "salt", func(r *Record) { r.Attributes = append(r.Attributes, Attribute{Name: "title"}) }},
		{"values that changed places between attributes", "salt", func(r *Record) {
			r.Attributes[0].Values, r.Attributes[2].Values = r.Attributes[2].Values, r.Attributes[0].Values
		}},
		{"two values made into one", "salt", func(r *Record) { r.Attributes[0].Values = []string{"anna@x.orga.ames@x.org"} }},
		{"a member", "salt", func(r *Record) { r.Members[0] = "CN=Di,DC=x" }},
		{"a member less", "salt", func(r *Record) { r.Members = r.Members[:1] }},
		{"no members", "salt", func(r *Record) { r.Members = nil }},
	} {
		r := anna()
		c.change(r)
		d := h.Hash(r, c.salt)
		if same, ok := seen[d]; ok {
			t.Errorf("%s is not told from %s", c.name, same)
		}
		seen[d] = c.name
	}
}

// What a group's members are spelled like must not pass for an attribute.
func TestMembersCannotPassForAttributes(t *testing.T) {
	var h Hasher
	a := &Record{Kind: Group, Members: []string{"\x00\x00"}}
	b := &Record{Kind: Group, Attributes: []Attribute{{Name: "\x02"}}}
	if h.Hash(a, "") == h.Hash(b, "") {
		t.Errorf("%+v and %+v have one hash", *a, *b)
	}
}

func TestOneHasherGivesWhatAFreshOneGives(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var used Hasher
	for range 200 {
		r := random(rng)
		var fresh Hasher
		if used.Hash(r, "s") != fresh.Hash(r, "s") {
			t.Fatalf("what was hashed before shows in the hash of %+v", *r)
		}
	}
}

func TestAPersonAndAGroupOfOneIDAreTwo(t *testing.T) {
	if KeyOf(User, "x") == KeyOf(Group, "x") || KeyOf(User, "x") == KeyOf(User, "X") || KeyOf(User, "") == KeyOf(User, "\x00") {
		t.Error("two keys are one")
	}
	// The mirror holds digests made this way: they never change.
	if got := fmt.Sprintf("%x", KeyOf(User, "x")); got != "23c86a8aded0ad81f8111bb07e6ec0ff" {
		t.Errorf("the key of a person x is %s", got)
	}
	if RefOf("cn=a") != Sum([]byte("cn=a")) {
		t.Error("a ref's digest is not that of its text")
	}
}

func TestAttributesAreFoundWithoutCase(t *testing.T) {
	r := anna()
	for _, c := range []struct{ name, want string }{{"MAIL", "anna@x.org"}, {"cn", "Änna"}, {"title", ""}, {"mai", ""}, {"", ""}} {
		if got := r.First(c.name); got != c.want {
			t.Errorf("%q is %q, want %q", c.name, got, c.want)
		}
	}
	if r.Get("title") != nil || len(r.Get("Mail")) != 2 {
		t.Errorf("%q, %q", r.Get("title"), r.Get("Mail"))
	}
	if User.String() != "user" || Group.String() != "group" || Kind(7).String() != "unknown" {
		t.Error("a kind has another name")
	}
}
