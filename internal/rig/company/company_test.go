package company_test

import (
	"testing"

	"rollcall.dev/rollcall/internal/rig/company"
	"rollcall.dev/rollcall/internal/rig/people"
)

func TestACompanyChangesFromMinuteToMinute(t *testing.T) {
	c, err := company.Start(people.Options{People: 50, Groups: 5, Broken: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	for number := range 60 {
		before := c.Tree.Last().Seq
		what, err := c.Tick()
		if err != nil || what.Titles != 3 || what.Joiners != 1 || (what.Leavers == 1) != (number >= 5) {
			t.Fatalf("tick %d: %+v, %v", number, what, err)
		}
		if c.Tree.Last().Seq == before {
			t.Errorf("tick %d: the directory does not know", number)
		}
	}
}
