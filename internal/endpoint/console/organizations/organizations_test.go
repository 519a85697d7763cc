package organizations

import "testing"

func TestALicenceLimitIsANumberOfSeats(t *testing.T) {
	for text, want := range map[string]int{"": 0, "12": 12, "1,500": 1500, "0": 0} {
		if got, trouble := seats(text); got != want || trouble != nil {
			t.Errorf("%q: %d, %v", text, got, trouble)
		}
	}
	for _, text := range []string{"-1", "many", "1.5", "99999999999999999999"} {
		if _, trouble := seats(text); trouble == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
