package clean

import (
	"math/rand/v2"
	"regexp"
	"testing"
)

func TestDigitsAreWhatTheirExpressionSays(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, expression := range []string{`[2-9]\d{2}`, `1|12|123`, `(?:0[1-3]|4)5*`, ``, `\d*7`, `.{2}`, `[a-z]`, `(?:1(?:2(?:3)?)?)?`, `(\d{2,3})(\d{3,4})`} {
		a := compileDigits(expression)
		if a == nil {
			t.Errorf("%q: no table", expression)
			continue
		}
		all, begin := regexp.MustCompile(`^(?:`+expression+`)$`), regexp.MustCompile(`^(?:`+expression+`)`)
		for range 3000 {
			digits := make([]byte, random.IntN(8))
			for i := range digits {
				digits[i] = '0' + byte(random.IntN(8))
			}
			if got, want := a.matches(digits), all.Match(digits); got != want {
				t.Errorf("%q matches %s: %v, want %v", expression, digits, got, want)
			}
			if got, want := a.begins(digits), begin.Match(digits); got != want {
				t.Errorf("%s begins with %q: %v, want %v", digits, expression, got, want)
			}
		}
	}
	for _, expression := range []string{`^1`, `1\b2`, `(`, `\d*1\d{14}`} {
		if compileDigits(expression) != nil {
			t.Errorf("%q is a table", expression)
		}
	}
}
