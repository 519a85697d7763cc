package api

import (
	"testing"
)

// A cursor is either what was given out for a list, or refused.
func FuzzCursor(f *testing.F) {
	for _, at := range []string{"", "a", "x/y"} {
		text, err := sealCursor("list", at)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(*text)
	}
	f.Add("AAAAAAAA")
	f.Add("=")
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return
		}
		var place string
		if openCursor("list", text, &place) != nil {
			return
		}
		again, err := sealCursor("list", place)
		if err != nil {
			t.Fatal(err)
		}
		var same string
		if openCursor("list", *again, &same) != nil || same != place {
			t.Errorf("%q and %q lead to %q and %q", text, *again, place, same)
		}
		if openCursor("another list", text, &same) == nil {
			t.Errorf("%q is a cursor of two lists", text)
		}
	})
}
