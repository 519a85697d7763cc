package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

// memory is a Store that keeps its promises, and counts what it is asked to do.
type memory struct {
	told      []directory.Digest       // of the last publication
	rows      map[directory.Digest]Row // published
	staged    map[directory.Digest]Row // of the next generation
	published int64
	reading   source.Reading
	stages    int
	publishes int
	questions int // about some keys
	total     int
	failStage error
	failKnown error
	known     chan struct{} // what is known is told once it is closed; nil for at once
	problems  []string
}

func (m *memory) Known(_ context.Context, _ string, fn func(key, hash directory.Digest, kind directory.Kind)) error {
	if m.known != nil {
		<-m.known
	}
	for key, r := range m.rows {
		if !r.Gone {
			fn(key, r.Hash, r.Kind)
		}
	}
	return m.failKnown
}

func (m *memory) Stage(ctx context.Context, lease Lease, generation int64, rows []Row) error {
	m.stages++
	if m.failStage != nil {
		return m.failStage
	}
	if generation != m.published+1 || lease != testLease {
		m.problems = append(m.problems, fmt.Sprintf("rows are staged under generation %d by %+v", generation, lease))
	}
	for _, r := range rows {
		if _, twice := m.staged[r.Key]; twice != r.Again {
			m.problems = append(m.problems, r.Name+" is staged twice")
		}
		m.staged[r.Key] = r
	}
	return ctx.Err()
}

func (m *memory) Discard(context.Context, Lease) error {
	m.staged = map[directory.Digest]Row{}
	return nil
}

func (m *memory) Find(_ context.Context, _ string, keys []directory.Digest, fn func(key, hash directory.Digest, kind directory.Kind)) error {
	m.questions++
	for _, key := range keys {
		if r, ok := m.rows[key]; ok && !r.Gone {
			fn(key, r.Hash, r.Kind)
		}
	}
	return nil
}

func (m *memory) Publish(_ context.Context, _ Lease, p Publication) (users, groups int, err error) {
	m.publishes++
	m.published, m.reading, m.told = p.Generation, p.Reading, p.Told
	maps.Copy(m.rows, m.staged)
	m.staged = map[directory.Digest]Row{}
	for _, key := range p.Gone {
		r := m.rows[key]
		r.Gone = true
		m.rows[key] = r
	}
	fresh := 0
	for _, r := range m.rows {
		if r.Gone {
			continue
		}
		fresh++
		if r.Kind == directory.User {
			users++
		} else {
			groups++
		}
	}
	if m.total += p.Fresh[0] + p.Fresh[1] - len(p.Gone); m.total != fresh {
		m.problems = append(m.problems, fmt.Sprintf("there are %d rows, and %d by what is fresh and gone", fresh, m.total))
	}
	return users, groups, nil
}

// picture is who is there, with what they are called, and who is gone.
func (m *memory) picture() string {
	var out []string
	for _, r := range m.rows {
		var rec directory.Record
		if err := rec.Decode(r.Record); err != nil {
			return err.Error()
		}
		text := r.Name
		if rec.Problem != "" {
			text += " (" + rec.Problem + ")"
		}
		if r.Gone {
			text = "-" + text
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

var testLease = Lease{Connection: "hq", Fence: 3}

// secrets counts hashes: one costs a tenth of a second in earnest.
type secrets struct {
	hashed []string
	fail   error
}

func (s *secrets) Fingerprint(purpose, text string) (string, error) {
	return "fingerprint(" + purpose + "," + text + ")", s.fail
}

func (s *secrets) HashSalted(_ context.Context, plain, _ string) (string, error) {
	s.hashed = append(s.hashed, plain)
	return fmt.Sprintf("argon2id(%s)#%d", plain, len(s.hashed)), nil
}

// script is a source that says what it is told to.
type script struct {
	records []directory.Record
	reading source.Reading
	err     error
	first   func() // called before the first record
	before  func() // called before the reading ends
	from    source.Cursor
	silent  bool // it does not say that it reads everything
	req     source.Request
}

func (s *script) Preset(context.Context) (source.Preset, error) { return source.Preset{}, nil }
func (s *script) Check(context.Context, func(source.Step))      {}
func (s *script) Close() error                                  { return nil }
func (s *script) Read(_ context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	if req.Anew != nil && s.reading.Full && !s.silent {
		if err := req.Anew(); err != nil {
			return source.Reading{}, err
		}
	}
	s.req = req
	if s.first != nil {
		s.first()
	}
	var one directory.Record // used again and again, as sources may
	for i := range s.records {
		one = s.records[i]
		if err := emit(&one); err != nil {
			return source.Reading{}, err
		}
	}
	if s.before != nil {
		s.before()
	}
	return s.reading, s.err
}

var (
	whole   = source.Reading{Full: true, Complete: true}
	partial = source.Reading{Full: true, Reason: "the server stopped after 2 people"}
	delta   = source.Reading{Complete: true}
)

func person(id, mail string) directory.Record {
	return directory.Record{Kind: directory.User, ID: directory.ExternalID(id), Name: "cn=" + id, Ref: "CN=" + id,
		Attributes: []directory.Attribute{{Name: "mail", Values: []string{mail}}}}
}

func with(r directory.Record, change func(r *directory.Record)) directory.Record {
	change(&r)
	return r
}

func gone(id string) directory.Record {
	return directory.Record{Kind: directory.User, ID: directory.ExternalID(id), Gone: true}
}

func nameless(name string) directory.Record {
	return directory.Record{Kind: directory.User, Name: name, Ref: name, Problem: "The entry has no entryUUID to be known by."}
}

type bench struct {
	former  bool
	store   *memory
	secrets *secrets
}

func start() *bench {
	return &bench{store: &memory{rows: map[directory.Digest]Row{}, staged: map[directory.Digest]Row{}}, secrets: &secrets{}}
}

func (b *bench) take(ctx context.Context, s *script) (Result, error) {
	in := Intake{Store: b.store, Lease: testLease, Refer: strings.ToLower, Secrets: b.secrets, Published: b.store.published}
	in.Former = b.former
	return in.Take(ctx, s, source.Request{From: s.from})
}

func (b *bench) must(t *testing.T, reading source.Reading, records ...directory.Record) Result {
	t.Helper()
	got, err := b.take(t.Context(), &script{records: records, reading: reading})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.store.problems) > 0 {
		t.Fatal(b.store.problems)
	}
	return got
}

func TestWhatAReadingDoesToTheMirror(t *testing.T) {
	anna, bo := person("anna", "a"), person("bo", "b")
	for _, c := range []struct {
		name          string
		before        []directory.Record
		reading       source.Reading
		records       []directory.Record
		want          string
		changed, gone int
		stages        int
	}{
		{"the first reading", nil, whole, []directory.Record{anna, bo}, "cn=anna, cn=bo", 2, 0, 1},
		{"nobody, ever", nil, whole, nil, "", 0, 0, 0},
		{"nothing changed: nothing is written", []directory.Record{anna, bo}, whole, []directory.Record{bo, anna}, "cn=anna, cn=bo", 0, 0, 0},
		{"one changed", []directory.Record{anna, bo}, whole, []directory.Record{person("anna", "new"), bo}, "cn=anna, cn=bo", 1, 0, 1},
		{"one is missing from a whole reading", []directory.Record{anna, bo}, whole, []directory.Record{bo}, "-cn=anna, cn=bo", 0, 1, 0},
		{"everybody is", []directory.Record{anna, bo}, whole, nil, "-cn=anna, -cn=bo", 0, 2, 0},
		{"one is missing from a reading that is not complete", []directory.Record{anna, bo}, partial, []directory.Record{bo}, "cn=anna, cn=bo", 0, 0, 0},
		{"what an incomplete reading did bring is taken", []directory.Record{anna}, partial, []directory.Record{bo}, "cn=anna, cn=bo", 1, 0, 1},
		{"one is not in a delta", []directory.Record{anna, bo}, delta, []directory.Record{person("bo", "new")}, "cn=anna, cn=bo", 1, 0, 1},
		{"a delta names one who is gone", []directory.Record{anna, bo}, delta, []directory.Record{gone("anna")}, "-cn=anna, cn=bo", 0, 1, 0},
		{"a delta names one who was never there", []directory.Record{anna}, delta, []directory.Record{gone("zoe")}, "cn=anna", 0, 0, 0},
		{"an empty delta", []directory.Record{anna}, delta, nil, "cn=anna", 0, 0, 0},
		{"a person and a group of one external ID", nil, whole, []directory.Record{anna, with(anna, func(r *directory.Record) { r.Kind, r.Name = directory.Group, "group" })}, "cn=anna, group", 2, 0, 1},
		{"two entries with one external ID: the second is a problem under its own name", nil, whole,
			[]directory.Record{anna, with(anna, func(r *directory.Record) { r.Name, r.Ref = "cn=twin", "cn=twin" })},
			"cn=anna, cn=twin (has the same external ID (anna) as another entry)", 2, 0, 1},
		{"one entry told of three times", nil, whole, []directory.Record{anna, anna, anna},
			"cn=anna, cn=anna (has the same external ID (anna) as another entry)", 2, 0, 1},
		{"an entry without an external ID", nil, whole, []directory.Record{nameless("cn=x"), nameless("cn=y")},
			"cn=x (The entry has no entryUUID to be known by.), cn=y (The entry has no entryUUID to be known by.)", 2, 0, 1},
		{"the same one twice, with other content", nil, whole,
			[]directory.Record{nameless("cn=x"), with(nameless("cn=x"), func(r *directory.Record) { r.Members = []string{"a"} })}, "cn=x (The entry has no entryUUID to be known by.)", 1, 0, 1},
		{"it is known by its ref from reading to reading", []directory.Record{nameless("cn=x")}, whole, []directory.Record{nameless("cn=x")},
			"cn=x (The entry has no entryUUID to be known by.)", 0, 0, 0},
		{"a name no database keeps", nil, whole, []directory.Record{with(anna, func(r *directory.Record) { r.Name = "cn=a\x00b\xff" })}, "cn=a\uFFFDb\uFFFD", 1, 0, 1},
		{"an external ID no database keeps", nil, whole, []directory.Record{person("a\x00b", "a"), person("\xff", "b")},
			"cn=a\uFFFDb (its external ID is not valid text), cn=\uFFFD (its external ID is not valid text)", 2, 0, 1},
		{"one without an external ID is no twin of another", []directory.Record{anna}, whole, []directory.Record{anna, nameless("cn=anna")},
			"cn=anna, cn=anna (The entry has no entryUUID to be known by.)", 1, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start()
			if c.before != nil {
				b.must(t, whole, c.before...)
			}
			b.store.stages, b.store.publishes = 0, 0
			was := b.store.published
			got := b.must(t, c.reading, c.records...)
			if p := b.store.picture(); p != c.want {
				t.Errorf("the mirror: %s\nwant: %s", p, c.want)
			}
			if got.Changed != c.changed || got.Gone != c.gone || b.store.stages != c.stages {
				t.Errorf("%d changed, %d gone, %d times written, want %d, %d, %d", got.Changed, got.Gone, b.store.stages, c.changed, c.gone, c.stages)
			}
			want := was
			if c.changed+c.gone > 0 {
				want++
			}
			if got.Generation != want || b.store.published != want {
				t.Errorf("generation %d, published %d, want %d", got.Generation, b.store.published, want)
			}
			if b.store.publishes != 1 || b.store.reading.Complete != c.reading.Complete || b.store.reading.Reason != c.reading.Reason {
				t.Errorf("%d verdicts, the last %+v", b.store.publishes, b.store.reading)
			}
		})
	}
}

func present(id string) directory.Record {
	return directory.Record{Kind: directory.User, ID: directory.ExternalID(id), Present: true}
}

func TestWhatAReadingOfChangesDoesToTheMirror(t *testing.T) {
	anna, bo := person("anna", "a"), person("bo", "b")
	swept := source.Reading{Complete: true, Swept: true}
	for _, c := range []struct {
		name          string
		reading       source.Reading
		records       []directory.Record
		want          string
		changed, gone int
	}{
		{"nothing", delta, nil, "cn=anna, cn=bo", 0, 0},
		{"the same again", delta, []directory.Record{anna, anna}, "cn=anna, cn=bo", 0, 0},
		{"two changes of one: the last holds", delta, []directory.Record{person("anna", "1"), with(anna, func(r *directory.Record) { r.Name = "cn=new" })}, "cn=bo, cn=new", 2, 0},
		{"three", delta, []directory.Record{person("anna", "1"), person("anna", "2"), with(anna, func(r *directory.Record) { r.Name = "cn=new" })}, "cn=bo, cn=new", 3, 0},
		{"gone, and back", delta, []directory.Record{gone("anna"), person("anna", "1")}, "cn=anna, cn=bo", 1, 0},
		{"gone, and back as it was", delta, []directory.Record{gone("anna"), anna}, "cn=anna, cn=bo", 0, 0},
		{"changed, and gone", delta, []directory.Record{person("anna", "1"), gone("anna")}, "-cn=anna, cn=bo", 1, 1},
		{"new, and gone", delta, []directory.Record{person("cy", "1"), gone("cy")}, "-cn=cy, cn=anna, cn=bo", 1, 1},
		{"gone twice", delta, []directory.Record{gone("anna"), gone("anna")}, "-cn=anna, cn=bo", 0, 1},
		{"one who was never there is gone", delta, []directory.Record{gone("zoe")}, "cn=anna, cn=bo", 0, 0},
		{"a sweep that names both", swept, []directory.Record{present("anna"), present("bo")}, "cn=anna, cn=bo", 0, 0},
		{"a sweep that names one", swept, []directory.Record{present("bo")}, "-cn=anna, cn=bo", 0, 1},
		{"a sweep that names one, and tells of the other", swept, []directory.Record{present("bo"), person("anna", "1")}, "cn=anna, cn=bo", 1, 0},
		{"a sweep that is not complete", source.Reading{Swept: true}, []directory.Record{present("bo")}, "cn=anna, cn=bo", 0, 0},
		{"names without a sweep", delta, []directory.Record{present("bo")}, "cn=anna, cn=bo", 0, 0},
		{"gone, and swept over", swept, []directory.Record{gone("anna"), present("anna"), present("bo")}, "cn=anna, cn=bo", 0, 0},
		{"gone, and not complete: it was said by name", source.Reading{}, []directory.Record{gone("anna")}, "-cn=anna, cn=bo", 0, 1},
		{"everything, after all", whole, []directory.Record{bo}, "-cn=anna, cn=bo", 0, 1},
		{"everything, with twins", whole, []directory.Record{anna, bo, with(bo, func(r *directory.Record) { r.Name, r.Ref = "cn=x", "cn=x" })},
			"cn=anna, cn=bo, cn=x (has the same external ID (bo) as another entry)", 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start()
			b.must(t, whole, anna, bo)
			got, err := b.take(t.Context(), &script{records: c.records, reading: c.reading, from: source.Cursor("x")})
			if err != nil || len(b.store.problems) > 0 {
				t.Fatal(err, b.store.problems)
			}
			if p := b.store.picture(); p != c.want || got.Changed != c.changed || got.Gone != c.gone {
				t.Errorf("the mirror: %s, %d changed, %d gone\nwant: %s, %d, %d", p, got.Changed, got.Gone, c.want, c.changed, c.gone)
			}
		})
	}
}

func TestASourceIsToldWhatIsKnownAndMustSayWhenItReadsEverything(t *testing.T) {
	b := start()
	b.must(t, whole, person("anna", "a"), person("bo", "b"))
	s := &script{from: source.Cursor("x"), reading: delta, records: []directory.Record{gone("anna"), person("cy", "c")}}
	said := ""
	s.before = func() {
		for _, id := range []directory.ExternalID{"anna", "bo", "cy", "dee"} {
			known, err := s.req.Known(directory.User, id)
			said += fmt.Sprint(id, known, err, " ")
		}
	}
	if _, err := b.take(t.Context(), s); err != nil || said != "annafalse <nil> botrue <nil> cytrue <nil> deefalse <nil> " {
		t.Errorf("%v, %s", err, said)
	}
	if _, err := b.take(t.Context(), &script{from: source.Cursor("x"), reading: whole, silent: true}); err == nil {
		t.Error("a full reading that was not announced is taken")
	}
	if p := b.store.picture(); p != "-cn=anna, cn=bo, cn=cy" {
		t.Errorf("the mirror: %s", p)
	}
}

// What a source says will come soon is looked up at once, and makes no difference.
func TestWhatComesSoonIsLookedUpAtOnce(t *testing.T) {
	many := []directory.ExternalID{"anna"}
	for i := range fewLookups {
		many = append(many, directory.ExternalID(fmt.Sprint("nobody", i)))
	}
	for _, c := range []struct {
		name      string
		soon      []directory.ExternalID
		questions int
	}{
		{"nobody is named", nil, 4},
		{"some are", []directory.ExternalID{"bo", "dee"}, 3},
		{"all are, and one twice, and one of whom nothing comes", []directory.ExternalID{"anna", "bo", "cy", "bo", "dee", "eve"}, 1},
		{"so many that all that are known are loaded", many, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start()
			b.must(t, whole, person("anna", "a"), person("bo", "b"), person("cy", "c"), person("fay", "f"))
			s := &script{from: source.Cursor("x"), reading: delta, records: []directory.Record{gone("anna"), person("bo", "b2"),
				{Kind: directory.User, ID: "cy", Present: true}, person("dee", "d")}}
			s.first = func() {
				if err := s.req.Soon(directory.User, c.soon); err != nil {
					t.Error(err)
				}
			}
			b.store.questions = 0
			got, err := b.take(t.Context(), s)
			if err != nil || got.Changed != 2 || got.Gone != 1 {
				t.Errorf("%+v, %v", got, err)
			}
			if p := b.store.picture(); p != "-cn=anna, cn=bo, cn=cy, cn=dee, cn=fay" {
				t.Errorf("the mirror: %s", p)
			}
			if b.store.questions != c.questions {
				t.Errorf("%d questions, want %d", b.store.questions, c.questions)
			}
		})
	}
}

// A row that is read again means what its refs mean now, also where it is the same: the
// store is told which, and gets a generation to put them in where it is known to need one.
func TestWhatIsReadAgainIsToldOfWhileRefsHaveFormerMeanings(t *testing.T) {
	for _, former := range []bool{true, false} {
		b := start()
		b.must(t, whole, person("anna", "a"), person("bo", "b"), person("cy", "c"))
		b.former = former
		records := []directory.Record{person("anna", "a"), person("bo", "b"), gone("bo"), person("cy", "c"), person("cy", "new")}
		if !former {
			records = records[:1]
		}
		got, err := b.take(t.Context(), &script{from: source.Cursor("x"), reading: delta, records: records})
		if want := []directory.Digest{directory.KeyOf(directory.User, "anna")}; err != nil || !slices.Equal(b.store.told, want) {
			t.Errorf("%+v, %v, told of %v", got, err, b.store.told)
		}
		if moved := got.Generation == 2; moved != former {
			t.Errorf("names have former meanings: %v, generation %d", former, got.Generation)
		}
	}
}

func TestARowHoldsWhatLaterStagesNeed(t *testing.T) {
	b := start()
	b.must(t, whole, person("anna", "a"))
	r := b.store.rows[directory.KeyOf(directory.User, "anna")]
	var rec directory.Record
	if err := rec.Decode(r.Record); err != nil || rec.First("mail") != "a" {
		t.Errorf("%+v, %v", rec, err)
	}
	if r.Kind != directory.User || r.ExternalID != "anna" || r.Name != "cn=anna" || r.Ref != directory.RefOf("cn=anna") || r.Generation != 1 || r.Gone || r.Secret != "" {
		t.Errorf("%+v", r)
	}
}

func TestOneWhoComesBackIsThereAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		before source.Reading
		goes   []directory.Record
	}{{"missing", whole, nil}, {"named as gone", delta, []directory.Record{gone("anna")}}} {
		t.Run(c.name, func(t *testing.T) {
			b := start()
			b.must(t, whole, person("anna", "a"))
			b.must(t, c.before, c.goes...)
			if p := b.store.picture(); p != "-cn=anna" {
				t.Fatalf("the mirror: %s", p)
			}
			// The very same content is news: it was gone.
			if got := b.must(t, whole, person("anna", "a")); got.Changed != 1 || got.Generation != 3 {
				t.Errorf("%+v", got)
			}
			if p := b.store.picture(); p != "cn=anna" {
				t.Errorf("the mirror: %s", p)
			}
		})
	}
}

func TestAReadingThatBreaksOffLeavesTheMirrorAsItWas(t *testing.T) {
	cut := errors.New("the connection was cut")
	many := func() []directory.Record {
		var out []directory.Record
		for i := range batch + batch/2 {
			out = append(out, person(fmt.Sprint("new", i), "x"))
		}
		return out
	}()
	for _, c := range []struct {
		name   string
		script func(b *bench, cancel func()) *script
		want   error
	}{
		{"the source fails at once", func(*bench, func()) *script { return &script{err: cut, reading: whole} }, cut},
		{"the source fails after rows were written", func(*bench, func()) *script { return &script{records: many, err: cut, reading: whole} }, cut},
		{"the store fails at the first rows", func(b *bench, _ func()) *script {
			b.store.failStage = cut
			return &script{records: many, reading: whole}
		}, cut},
		{"the store fails at the last rows", func(b *bench, _ func()) *script {
			return &script{records: many[:2], reading: whole, before: func() { b.store.failStage = cut }}
		}, cut},
		{"it was cancelled, and looks finished", func(_ *bench, cancel func()) *script { return &script{reading: whole, before: cancel} }, context.Canceled},
		{"it was cancelled after rows were written, and looks finished", func(_ *bench, cancel func()) *script {
			return &script{records: many, reading: whole, before: cancel}
		}, context.Canceled},
		{"the key for fingerprints is missing", func(b *bench, _ func()) *script {
			b.secrets.fail = cut
			return &script{records: []directory.Record{with(person("anna", "a"), func(r *directory.Record) { r.Password = "secret" })}, reading: whole}
		}, cut},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start()
			b.must(t, whole, person("anna", "a"), person("bo", "b"))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			got, err := b.take(ctx, c.script(b, cancel))
			if !errors.Is(err, c.want) || got.Changed+got.Gone != 0 {
				t.Errorf("%+v, %v", got, err)
			}
			if p := b.store.picture(); p != "cn=anna, cn=bo" || b.store.publishes != 1 {
				t.Errorf("the mirror: %s after %d verdicts", p, b.store.publishes)
			}
			// The next one finds nothing of it.
			b.store.failStage, b.secrets.fail = nil, nil
			if got := b.must(t, whole, person("anna", "a"), person("bo", "b")); got.Changed+got.Gone != 0 {
				t.Errorf("afterwards: %+v", got)
			}
			if p := b.store.picture(); p != "cn=anna, cn=bo" {
				t.Errorf("the mirror afterwards: %s", p)
			}
		})
	}
}

func TestAnEntryWithoutIDAndWithoutProblemIsOurMistake(t *testing.T) {
	b := start()
	if _, err := b.take(t.Context(), &script{records: []directory.Record{{Kind: directory.User, Name: "cn=x"}}, reading: whole}); err == nil || b.store.publishes != 0 {
		t.Errorf("%v, %d verdicts", err, b.store.publishes)
	}
}

func TestManyRowsAreWrittenInBatches(t *testing.T) {
	b := start()
	var all []directory.Record
	for i := range 2*batch + 1 {
		all = append(all, person(fmt.Sprint("p", i), "x"))
	}
	if got := b.must(t, whole, all...); got.Changed != len(all) || len(b.store.rows) != len(all) || b.store.stages != 3 {
		t.Errorf("%+v in %d batches", got, b.store.stages)
	}
	for _, r := range all {
		if got := b.store.rows[directory.KeyOf(r.Kind, r.ID)]; got.Name != r.Name {
			t.Fatalf("the row of %s is that of %q", r.ID, got.Name)
		}
	}
}

func TestLargeRowsAreWrittenInSmallerBatches(t *testing.T) {
	b := start()
	member := strings.Repeat("x", 1<<10)
	var all []directory.Record
	for i := range 40 { // of half a mebibyte each
		r := directory.Record{Kind: directory.Group, ID: directory.ExternalID(fmt.Sprint("g", i)), Name: fmt.Sprint("g", i), Ref: fmt.Sprint("g", i)}
		for k := range 512 {
			r.Members = append(r.Members, fmt.Sprint(k, member))
		}
		all = append(all, r)
	}
	if got := b.must(t, whole, all...); got.Changed != len(all) || len(b.store.rows) != len(all) || b.store.stages != 3 {
		t.Errorf("%+v in %d batches", got, b.store.stages)
	}
	b.must(t, whole, append(all, person("anna", "anna@example.org"))...)
	for _, r := range b.store.rows {
		if isGroup := r.Kind == directory.Group; isGroup != (len(r.Refs) == 512*16) || !isGroup && r.Refs != nil {
			t.Errorf("%s has %d bytes of refs", r.Name, len(r.Refs))
		}
	}
}

func TestAPasswordIsHashedOnlyWhenItIsAnother(t *testing.T) {
	b := start()
	row := func(id, password string) directory.Record {
		return with(person(id, id), func(r *directory.Record) { r.Password = password })
	}
	secret := func(id string) string {
		return b.store.rows[directory.KeyOf(directory.User, directory.ExternalID(id))].Secret
	}
	b.must(t, whole, row("anna", "one"), row("bo", "default"), row("cy", "default"), person("dee", "d"))
	if got := strings.Join(b.secrets.hashed, " "); got != "one default" {
		t.Errorf("hashed: %s; a password many share is hashed once", got)
	}
	if secret("anna") == "" || secret("bo") == "" || secret("bo") != secret("cy") || secret("dee") != "" {
		t.Errorf("kept: %q, %q, %q, %q", secret("anna"), secret("bo"), secret("cy"), secret("dee"))
	}
	b.secrets.hashed = nil
	if got := b.must(t, whole, row("anna", "one"), row("bo", "default"), row("cy", "default"), person("dee", "d")); got.Changed != 0 || len(b.secrets.hashed) != 0 {
		t.Errorf("unchanged: %d rows, hashed %q", got.Changed, b.secrets.hashed)
	}
	if got := b.must(t, whole, row("anna", "two"), row("bo", "default"), person("cy", "cy"), person("dee", "d")); got.Changed != 2 || strings.Join(b.secrets.hashed, " ") != "two" {
		t.Errorf("one changed, one taken away: %d rows, hashed %q", got.Changed, b.secrets.hashed)
	}
	if secret("anna") != "argon2id(two)#1" || secret("cy") != "" {
		t.Errorf("kept: %q, %q", secret("anna"), secret("cy"))
	}
	for _, r := range b.store.rows {
		for _, password := range []string{"one", "two", "default"} {
			if strings.Contains(string(r.Record), password) {
				t.Errorf("the row of %s holds a password", r.Name)
			}
		}
	}
}

func TestTheOrderOfEntriesIsOfNoMatter(t *testing.T) {
	records := []directory.Record{person("anna", "a"), person("bo", "b"), nameless("cn=x"), with(person("cy", "c"), func(r *directory.Record) { r.Password = "p" })}
	a, b := start(), start()
	a.must(t, whole, records...)
	slices.Reverse(records)
	b.must(t, whole, records...)
	for key, r := range a.store.rows {
		if other := b.store.rows[key]; other.Hash != r.Hash || string(other.Record) != string(r.Record) || other.Ref != r.Ref {
			t.Errorf("%s is another row", r.Name)
		}
	}
}

// What is known of a large directory takes a while to be loaded; the directory is not
// kept waiting for it.
func TestWhatComesBeforeItIsKnownWhatIsKnownWaits(t *testing.T) {
	b := start()
	secret := with(person("c", "c@example.org"), func(r *directory.Record) { r.Password = "hidden" })
	if _, err := b.take(t.Context(), &script{records: []directory.Record{person("a", "a@example.org"), person("b", "b@example.org"), secret}, reading: whole}); err != nil {
		t.Fatal(err)
	}
	before := b.store.picture()
	b.store.known = make(chan struct{})
	same := &script{records: []directory.Record{person("a", "a@example.org"), secret, person("b", "b@example.org"), person("b", "other@example.org")}, reading: whole,
		before: func() { close(b.store.known) }}
	r, err := b.take(t.Context(), same)
	if err != nil || r.Changed != 1 || r.Gone != 0 || r.Users != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := b.store.picture(); !strings.HasPrefix(got, "cn=a, cn=b, cn=b (has the same external ID (b) as another entry), cn=c") {
		t.Errorf("it was %s and is %s", before, got)
	}
	if len(b.secrets.hashed) != 1 {
		t.Errorf("hashed %d times", len(b.secrets.hashed))
	}
	was := b.store.picture()
	b.store.known, b.store.failKnown = make(chan struct{}), errors.New("the database went")
	_, err = b.take(t.Context(), &script{records: []directory.Record{person("z", "z@example.org")}, reading: whole, before: func() { close(b.store.known) }})
	if err == nil || b.store.picture() != was || len(b.store.staged) != 0 {
		t.Errorf("%v, %s, %d staged", err, b.store.picture(), len(b.store.staged))
	}
}
