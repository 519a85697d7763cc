//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// leastOfDirect is how much of the speed without an agent a run through one has to have.
const leastOfDirect = 0.8

// hauled is what a server, and the agent where there is one, took for two runs.
type hauled struct {
	first, full   time.Duration // an empty database filled; everything read again
	cpu, agentCPU time.Duration
	rss, agentRSS int64 // peaks
}

// measureAgent has a server read a directory itself and through an agent, in turns.
func measureAgent(ctx context.Context, o options) error {
	sizes := []int{max(1, o.agent/10), o.agent} // memory may not grow with what is read
	results := make([][2][]hauled, len(sizes))
	for i, n := range sizes {
		rounds := o.rounds
		if n != o.agent {
			rounds = 1
		}
		if err := haulSize(ctx, o, n, rounds, &results[i]); err != nil {
			return fmt.Errorf("%d people: %w", n, err)
		}
	}
	return writeHauled(os.Stdout, o, sizes, results)
}

func haulSize(ctx context.Context, o options, n, rounds int, results *[2][]hauled) error {
	return o.onDirectory(ctx, n, func(b *bench) error {
		for round := range 1 + rounds { // the first one warms
			for k := range 2 {
				way := (k + round) % 2
				got, err := b.haul(ctx, round, way == 1)
				if err != nil {
					return err
				}
				note("%d people, round %d, %s: first %.2f s, again %.2f s", n, round, []string{"directly", "through an agent"}[way], got.first.Seconds(), got.full.Seconds())
				if round > 0 {
					results[way] = append(results[way], got)
				}
			}
		}
		return nil
	})
}

// haul starts a server on an empty database, and for an agent one that has no settings of
// its own, and runs the connection twice.
func (b *bench) haul(ctx context.Context, round int, agent bool) (out hauled, err error) {
	dsn, err := b.freshDatabase(ctx, "sqlite", round)
	if err != nil {
		return out, err
	}
	f := &fleet{options: b.options, dir: b.dir}
	if f.listen, err = freePort(ctx); err != nil {
		return out, err
	}
	conf := filepath.Join(b.dir, "rollcall.yaml")
	if err := b.configure(conf, dsn, "title"); err != nil {
		return out, err
	}
	text, err := os.ReadFile(conf)
	if err != nil {
		return out, err
	}
	if err := os.WriteFile(conf, fmt.Appendf(text, "listen: %[1]s\npublic_url: http://%[1]s\nlog: {level: warn}\n", f.listen), 0o600); err != nil {
		return out, err
	}
	_, key, err := measure(b.command(ctx, conf, "apikeys", "create", "--scope", "operator", "--name", "bench"), 0, true)
	if err != nil {
		return out, err
	}
	err = f.serving(ctx, func(pid int, _ time.Duration) error {
		run := func(args ...string) error {
			cmd := b.command(ctx, conf, append(args, "--server", "http://"+f.listen)...)
			cmd.Env = append(os.Environ(), "ROLLCALL_API_KEY="+strings.TrimSpace(string(key)))
			_, _, err := measure(cmd, 0, false)
			return err
		}
		var station *exec.Cmd
		if agent {
			if station, err = b.station(ctx, conf, f.listen); err != nil {
				return err
			}
			defer func() {
				_ = station.Process.Signal(syscall.SIGTERM) //nolint:errcheck // or it ended, which Wait says
				err = errors.Join(err, station.Wait())
			}()
		}
		if err := errors.Join(run("sync", "bench"), run("sync", "bench", "--full")); err != nil {
			return err
		}
		out.cpu, out.rss = ticks(pid), memory(pid, "VmHWM")
		if agent {
			out.agentCPU, out.agentRSS = ticks(station.Process.Pid), memory(station.Process.Pid, "VmHWM")
			if out.agentCPU < 100*time.Millisecond && b.stats.People > 5000 {
				return fmt.Errorf("the agent did nothing: %s of the processor", out.agentCPU)
			}
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	// What a command that follows a run takes is half a second more or less: the run itself counts.
	out.first, out.full, err = b.both(ctx, conf)
	return out, err
}

// station makes an agent, starts it and waits until it is connected.
func (b *bench) station(ctx context.Context, conf, listen string) (*exec.Cmd, error) {
	_, auth, err := measure(b.command(ctx, conf, "agents", "create", "bench", "--connection", "bench"), 0, true)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.binary, "agent", "run")
	cmd.Dir = filepath.Join(b.dir, "agent")
	if err := os.MkdirAll(cmd.Dir, 0o700); err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "AD_CONNECT_ADDR=http://"+listen, "AD_CONNECT_AUTH="+strings.TrimSpace(string(auth)), "NO_PROXY=127.0.0.1")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd, poll(ctx, 50*time.Millisecond, func() (bool, error) {
		_, out, err := measure(b.command(ctx, conf, "agents", "list", "--output", "json"), 0, true)
		return strings.Contains(string(out), `"ok"`), err
	})
}

// both makes sure that the first run created everybody and the second had nothing to do,
// and gives how long each took.
func (b *bench) both(ctx context.Context, conf string) (first, full time.Duration, err error) {
	runs, err := b.runs(ctx, conf, 2)
	if err != nil {
		return 0, 0, err
	}
	if len(runs) != 2 || runs[1].State != "applied" || runs[1].Summary.Create != b.stats.People || runs[0].State != "applied" || runs[0].Summary.Create+runs[0].Summary.Update != 0 {
		return 0, 0, fmt.Errorf("the two runs are not those that were to be measured: %+v", runs)
	}
	return runs[1].took(), runs[0].took(), nil
}

func writeHauled(w io.Writer, o options, sizes []int, results [][2][]hauled) error {
	var text strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&text, format, args...) }
	p("## Through an agent, %d people\n\n", o.agent)
	p("Written by `make bench BENCH=\"-agent %d\"` on %s: %s, %d processors, %s. A real OpenLDAP server, a Rollcall server on SQLite and the agent are processes of one machine, and share its processors; each round runs\nboth ways, and the one that goes first changes. Median of %d rounds, least to most in brackets.\n\n", o.agent, time.Now().UTC().Format("2 January 2006"), processor(), runtime.NumCPU(), runtime.Version(), o.rounds)
	figure := func(list []hauled, of func(hauled) float64, format string) string {
		var all []float64
		for _, x := range list {
			all = append(all, of(x))
		}
		slices.Sort(all)
		return fmt.Sprintf(format+" ("+format+"–"+format+")", all[len(all)/2], all[0], all[len(all)-1])
	}
	last := results[len(results)-1]
	speed := func(of func(hauled) time.Duration) (string, float64) {
		var all []float64
		for i := range last[0] {
			all = append(all, of(last[0][i]).Seconds()/of(last[1][i]).Seconds())
		}
		slices.Sort(all)
		return fmt.Sprintf("**%.2f** (%.2f–%.2f)", all[len(all)/2], all[0], all[len(all)-1]), all[len(all)/2]
	}
	p("| | directly | through an agent | speed, of the direct one | target |\n|---|---|---|---|---|\n")
	for _, row := range []struct {
		name string
		of   func(hauled) time.Duration
	}{{"first import", func(x hauled) time.Duration { return x.first }}, {"full, nothing changed", func(x hauled) time.Duration { return x.full }}} {
		seconds := func(x hauled) float64 { return row.of(x).Seconds() }
		words, ratio := speed(row.of)
		verdict := "reached"
		if ratio < leastOfDirect {
			verdict = "missed"
		}
		p("| %s | %s s | %s s | %s | ≥ %.1f, %s |\n", row.name, figure(last[0], seconds, "%.2f"), figure(last[1], seconds, "%.2f"), words, leastOfDirect, verdict)
	}
	p("\n| people | processor: server alone | server | agent | peak memory: server alone | server | agent |\n|---|---|---|---|---|---|---|\n")
	for i, n := range sizes {
		cpu := func(x hauled) float64 { return x.cpu.Seconds() }
		mib := func(x hauled) float64 { return float64(x.rss) / (1 << 20) }
		p("| %d | %s s | %s s | %s s | %s MiB | %s MiB | %s MiB |\n", n, figure(results[i][0], cpu, "%.1f"), figure(results[i][1], cpu, "%.1f"),
			figure(results[i][1], func(x hauled) float64 { return x.agentCPU.Seconds() }, "%.1f"), figure(results[i][0], mib, "%.0f"), figure(results[i][1], mib, "%.0f"),
			figure(results[i][1], func(x hauled) float64 { return float64(x.agentRSS) / (1 << 20) }, "%.0f"))
	}
	p("\nLoad at the end: %s.\n", load())
	_, err := io.WriteString(w, text.String())
	return err
}
