package storetest

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/store"
)

// The variables that make this test's program a process that runs one chapter.
const (
	childDSN     = "ROLLCALL_STORETEST_DSN"
	childChapter = "ROLLCALL_STORETEST_CHAPTER"
)

// child is what such a process does: it runs the chapter and says a word before
// and after every write.
func child() int {
	ctx := context.Background()
	s, err := store.Open(ctx, os.Getenv(childDSN), "")
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	s.DB.Keyed = Keyed
	say := func(op string) error {
		_, err := fmt.Println(op)
		return err
	}
	w := &World{Dirs: &Directories{}, Store: s, Clock: theClock}
	w.Engine = w.NewEngine(&tap{Store: s, before: say, after: say})
	w.Connect("hq", chapterConnection)
	w.Holds("hq", chapters()[int(os.Getenv(childChapter)[0]-'0')]...)
	r, err := w.Engine.Sync(ctx, *w.Conn("hq"), options)
	if err != nil || r.Run.State != engine.RunApplied {
		fmt.Println("failed:", err)
		return 1
	}
	return 0
}

// A real process is killed at random moments, again and again, until it gets
// through. The moments are counted in writes and not in time: the process is
// shot when it has said so many words, and runs on until the shot arrives.
func TestAProcessThatIsKilledAgainAndAgainComesToTheSameEnd(t *testing.T) {
	t.Parallel()
	const enough = 12
	for database := range dsns {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(os.Getpid()), 9))
			calm, shot := dsns[database](t), dsns[database](t)
			w, v := Open(t, calm), Open(t, shot)
			w.Clock, v.Clock = theClock, theClock
			w.Connect("hq", chapterConnection)
			v.Connect("hq", chapterConnection)
			kills := 0
			for round := 0; kills < enough && round < 10; round++ {
				chapter := round % len(chapters()) // the directory goes there and back
				w.Holds("hq", chapters()[chapter]...)
				v.Holds("hq", chapters()[chapter]...)
				w.Applied("hq")
				for tries := 0; !runChild(t, shot, chapter, tries < 6, 1+random.IntN(28)); tries++ {
					kills++
				}
				if want, got := w.State(), v.State(); got != want {
					t.Fatalf("after round %d and %d kills the end is another:\n%s", round, kills, Difference(want, got))
				}
				v.Examine()
				v.Replay()
				v.Settled("hq")
			}
			if kills == 0 {
				t.Error("no kill hit")
			}
		})
	}
}

// runChild runs a chapter in a process of its own, and shoots it after so many
// words when it may. It reports whether the process got through.
func runChild(t *testing.T, dsn string, chapter int, shoot bool, words int) bool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDSN+"="+dsn, fmt.Sprintf("%s=%d", childChapter, chapter))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed, failed := false, ""
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "failed:") {
			failed = lines.Text()
		}
		if shoot && n == words {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	if failed != "" || err != nil && !killed {
		t.Fatalf("the process failed by itself: %v %s", err, failed)
	}
	return err == nil
}
