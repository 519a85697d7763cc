package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/engine"
)

func TestWrap(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		width int
		want  string
	}{
		"a text that fits":                       {"one two", 7, "one two"},
		"a break at a space":                     {"one two three", 8, "one two|three"},
		"a space right behind the width":         {"one two three", 7, "one two|three"},
		"a DN breaks behind its commas":          {"uid=jdoe,ou=people,dc=example,dc=org", 20, "uid=jdoe,ou=people,|dc=example,dc=org"},
		"an address breaks behind the @":         {"somebody@example.org", 14, "somebody@|example.org"},
		"a word without a place breaks anywhere": {"abcdefghij", 4, "abcd|efgh|ij"},
		"letters two columns wide":               {"研究開発部", 4, "研究|開発|部"},
		"a letter wider than the line":           {"研", 1, "研"},
		"lines of their own stay":                {"a\nb", 10, "a|b"},
		"no width is no limit":                   {strings.Repeat("x ", 100) + "x", 0, strings.Repeat("x ", 100) + "x"},
		"nothing":                                {"", 5, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(wrap(test.text, test.width), "|"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("uid=jdoe,ou=people, dc=example", 9)
	f.Add("研究 開発部@x", 3)
	f.Fuzz(func(t *testing.T, text string, width int) {
		if width < 2 || width > 300 || !utf8.ValidString(text) {
			return
		}
		text = clean(text)
		lines := wrap(text, width)
		for _, l := range lines {
			if columns(l) > width {
				t.Errorf("%q is wider than %d", l, width)
			}
		}
		drop := strings.NewReplacer(" ", "", "\n", "").Replace
		if drop(strings.Join(lines, "")) != drop(text) {
			t.Errorf("%q became %q", text, lines)
		}
	})
}

func TestTablesFitTheTerminal(t *testing.T) {
	for name, test := range map[string]struct {
		width int
		want  string
	}{
		"as wide as it likes": {0, `ID         WHO        WHAT
r1ng3zbn0  anna       title: Architect -> Senior architect and head of everything
r1ng3zbn1  bo 𠮷田    -
    a sentence about it that is longer than the rest
`},
		"on a terminal": {40, `ID         WHO      WHAT
r1ng3zbn0  anna     title: Architect ->
                    Senior architect and
                    head of everything
r1ng3zbn1  bo 𠮷田  -
    a sentence about it that is longer
    than the rest
`},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			r := &root{IO: IO{Out: &b}, width: test.width}
			tab := r.table(column{"ID", fixed}, column{"WHO", wraps}, column{"WHAT", wraps})
			tab.add("r1ng3zbn0", "anna", "title: Architect -> Senior architect and head of everything")
			tab.add("r1ng3zbn1", "bo 𠮷田", "")
			tab.below("a sentence about it that is longer than the rest")
			tab.end("nothing")
			want := test.want
			if test.width == 0 {
				want = strings.Replace(strings.Replace(strings.Replace(want, "WHO        W", "WHO      W", 1), "anna       t", "anna     t", 1), "𠮷田    -", "𠮷田  -", 1)
			}
			if b.String() != want {
				t.Errorf("got\n%s\nwant\n%s", b.String(), want)
			}
		})
	}
	var b bytes.Buffer
	(&root{IO: IO{Out: &b}}).table(column{"ID", fixed}).end("There is nothing yet.")
	if b.String() != "There is nothing yet.\n" {
		t.Errorf("an empty table prints %q", b.String())
	}
}

// A list of any length is printed in pages, with one head.
func TestLongTables(t *testing.T) {
	var b bytes.Buffer
	tab := (&root{IO: IO{Out: &b}, width: 80}).table(column{"N", fixed}, column{"TEXT", wraps})
	for i := range 3*page + 7 {
		tab.add(i, "x")
	}
	tab.end("")
	if n := strings.Count(b.String(), "\n"); n != 3*page+8 || strings.Count(b.String(), "TEXT") != 1 || tab.count() != 3*page+7 {
		t.Errorf("%d lines", n)
	}
}

func TestCleanTakesOutWhatMovesTheCursor(t *testing.T) {
	got := clean("a\x1b[31mb\rc\td\u202ee\u2066f\x7fg\u009bh\u2028i\xffj\nk")
	if want := "a\ufffd[31mb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg\ufffdh\ufffdi\ufffdj\nk"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if flat("a\nb") != "a b" {
		t.Error("a name with a newline is two lines")
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1 000", 1234567: "1 234 567", -12: "-12", -1234: "-1 234", -123456: "-123 456"} {
		if got := number(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	if counted(1, "change") != "1 change" || counted(0, "change") != "0 changes" || counted(2000, "change") != "2 000 changes" {
		t.Error("counted")
	}
}

// Without a terminal each phase is a line; with one it is a bar that ends as a line.
func TestProgress(t *testing.T) {
	tell := func(b *bar) {
		b.report(engine.Progress{Phase: "reading"})
		b.report(engine.Progress{Phase: "reading", Done: 1200})
		b.report(engine.Progress{Phase: "planning", Done: 50, Total: 100})
		b.report(engine.Progress{Phase: "applying"})
		b.end()
	}
	var plain bytes.Buffer
	tell(newBar(&plain))
	lines := strings.Split(strings.TrimSpace(plain.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "reading    1 200") || !strings.HasPrefix(lines[1], "planning   50 of 100") {
		t.Errorf("%q", lines)
	}
	var live bytes.Buffer
	b := &bar{w: &live, live: true, width: 80}
	tell(b)
	has(t, live.String(), "\r\x1b[K", "[============            ]  50 %  50 of 100", "reading    1 200")
	if !strings.HasSuffix(live.String(), anew) {
		t.Errorf("what is printed next stands behind the rest of a bar: %q", live.String())
	}
	b.phase, b.last, b.began = "reading", engine.Progress{Phase: "reading", Done: 5000, Total: 10000}, time.Unix(0, 0)
	if got := b.line(time.Unix(10, 0)); !strings.HasSuffix(got, "5 000 of 10 000  500/s") || columns(got) > 79 {
		t.Errorf("%q", got)
	}
}
