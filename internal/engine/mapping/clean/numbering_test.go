package clean

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// Every calling code there is, with numbers near those the library gives as examples.
func TestNumbersExistWhereTheLibrarySaysSo(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 9))
	exist, codes, written := 0, 0, 0
	for code := 1; code < 1000; code++ {
		regions := phonenumbers.GetRegionCodesForCountryCode(code)
		if len(regions) == 0 {
			continue
		}
		codes++
		plan := numbering(code)
		if plan == nil {
			t.Errorf("+%d has no numbers", code)
			continue
		}
		for _, id := range regions {
			for kind := phonenumbers.FIXED_LINE; kind <= phonenumbers.VOICEMAIL; kind++ {
				example := phonenumbers.GetExampleNumberForType(id, kind)
				if example == nil {
					example = phonenumbers.GetExampleNumberForNonGeoEntity(code)
				}
				if example == nil {
					continue
				}
				for range 60 {
					national := []byte(strconv.FormatUint(example.GetNationalNumber(), 10))
					for range random.IntN(4) {
						national[random.IntN(len(national))] = '0' + byte(random.IntN(10))
					}
					switch random.IntN(12) {
					case 0:
						national = append(national, '0'+byte(random.IntN(10)))
					case 1:
						national = national[:len(national)-1]
					}
					if len(national) == 0 || len(national) > 15 || national[0] == '0' {
						continue
					}
					n, err := strconv.ParseUint(string(national), 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					cc := int32(code)
					number := &phonenumbers.PhoneNumber{CountryCode: &cc, NationalNumber: &n}
					want := phonenumbers.IsValidNumber(number)
					if got := plan.has(national); got != want {
						t.Errorf("+%d %s exists: %v, the library says %v", code, national, got, want)
					}
					if want {
						exist++
					}
					if text, ok := plan.write(nil, national); ok {
						written++
						if want := phonenumbers.Format(number, phonenumbers.INTERNATIONAL); fmt.Sprintf("+%d %s", code, text) != want {
							t.Errorf("+%d %s is written %q, the library says %q", code, national, text, want)
						}
					}
				}
			}
		}
	}
	if codes < 200 || exist < 20000 || written < 20000 {
		t.Errorf("only %d calling codes with %d numbers were compared, and how %d are written", codes, exist, written)
	}
}

func BenchmarkPhone(b *testing.B) {
	for b.Loop() {
		Phone("+32 2 555 12 34", "BE")
		Mobile("+32 470 12 34 56", "BE")
	}
}
