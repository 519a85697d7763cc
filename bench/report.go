//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/rig/people"
)

type key struct {
	people   int
	database string
}

type report struct {
	o       options
	stats   map[int]people.Stats
	results map[key][]result
}

func newReport(o options) *report {
	return &report{o: o, stats: map[int]people.Stats{}, results: map[key][]result{}}
}

func (r *report) add(n int, s people.Stats, database string, res result) {
	r.stats[n] = s
	k := key{n, database}
	r.results[k] = append(r.results[k], res)
}

// median of a figure over the rounds; of two in the middle their mean.
func median(results []result, figure func(result) float64) float64 {
	v := make([]float64, len(results))
	for i, res := range results {
		v[i] = figure(res)
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

func extent(results []result, figure func(result) float64) (low, high float64) {
	low, high = figure(results[0]), figure(results[0])
	for _, res := range results {
		low, high = min(low, figure(res)), max(high, figure(res))
	}
	return low, high
}

// line of the table: what was measured and what it is compared with.
type line struct {
	name   string
	target string // of targets at 100,000 people; "" where there is none
	what   func(result) cost
	floor  func(result) cost
}

func searchOnly(r result) cost { return r.search }

var lines = []line{
	{"first import", "≤ 2", func(r result) cost { return r.first }, func(r result) cost { return r.search.plus(r.insert) }},
	{"full run without changes", "≤ 1.3, CPU ≤ 3", func(r result) cost { return r.unchanged }, searchOnly},
	{"incremental run without changes", "", func(r result) cost { return r.idle }, searchOnly},
	{"incremental run with changes", "the same at 1,000,000", func(r result) cost { return r.changed }, searchOnly},
	{"incremental run with ten times as many", "≤ 2", func(r result) cost { return r.many }, func(r result) cost { return r.stamped }},
	{"plan after a rule that is new to everybody", "", func(r result) cost { return r.replan }, searchOnly},
	{"plan after a rule that is new to few", "", func(r result) cost { return r.reviewed }, searchOnly},
}

// rate is how many people a second of processor time a plan goes through, besides
// reading them.
func rate(people int, results []result, what func(result) cost) string {
	extra := median(results, func(x result) float64 { return what(x).cpu.Seconds() - x.unchanged.cpu.Seconds() })
	if extra < 0.01 {
		return "too little to measure"
	}
	return fmt.Sprintf("%.0f people a second", float64(people)/extra)
}

// write gives the text of docs/benchmarks.md.
func (r *report) write(out io.Writer) error {
	w := bufio.NewWriter(out)
	p := func(format string, args ...any) { fmt.Fprintf(w, format, args...) } //nolint:errcheck // kept by the writer until Flush
	p("# Benchmarks\n\nWritten by `make bench` on %s: %s, %d processors, %s, %s/%s. Load at the end: %s.\n\n",
		time.Now().UTC().Format("2 January 2006"), processor(), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, load())
	before := ""
	if r.o.warm {
		before = " after one that is not counted"
	}
	p("Whole processes, median of %d rounds%s, ranges in brackets. The floor of a reading is\n", r.o.rounds, before)
	p("`ldapsearch -E pr=1000/noprompt` of the same entries and attributes to nowhere, in the same round; the floor of a first import\n")
	p("is that plus a bare loop that inserts the same rows (accounts of 14 columns, memberships) into SQLite, or `COPY` into PostgreSQL.\n")
	p("The floor of the last incremental run is `ldapsearch` with `(modifyTimestamp>=T)` of the same changes.\n")
	p("A change is one of %d: 84 %% new titles, 6 %% leavers, 6 %% joiners, 4 %% renamed. Ratios are taken round by round.\n\n", r.o.changes)
	for _, n := range r.o.sizes {
		s := r.stats[n]
		p("## %d people, %d groups, %d memberships\n\n", s.People, s.Groups, s.Memberships)
		for _, database := range r.o.databases {
			results := r.results[key{n, database}]
			if len(results) == 0 {
				continue
			}
			p("%s:\n\n", map[string]string{"sqlite": "SQLite", "postgres": "PostgreSQL"}[database])
			p("| | wall s | floor s | wall ratio | CPU s | CPU ratio | peak MiB | to reach |\n|---|---|---|---|---|---|---|---|\n")
			for _, l := range lines {
				wall := func(x result) float64 { return l.what(x).wall.Seconds() }
				ratio := func(x result) float64 { return l.what(x).wall.Seconds() / l.floor(x).wall.Seconds() }
				low, high := extent(results, wall)
				rlow, rhigh := extent(results, ratio)
				p("| %s | %.2f (%.2f-%.2f) | %.2f | **%.2f** (%.2f-%.2f) | %.2f | %.2f | %.0f | %s |\n", l.name,
					median(results, wall), low, high,
					median(results, func(x result) float64 { return l.floor(x).wall.Seconds() }),
					median(results, ratio), rlow, rhigh,
					median(results, func(x result) float64 { return l.what(x).cpu.Seconds() }),
					median(results, func(x result) float64 { return l.what(x).cpu.Seconds() / l.floor(x).cpu.Seconds() }),
					median(results, func(x result) float64 { return float64(l.what(x).rss) / (1 << 20) }), l.target)
			}
			p("\nPlanning after a new rule, its CPU time less that of a run without changes: %s where it changes everybody, %s where few (to reach: 100,000).\n\n",
				rate(n, results, func(x result) cost { return x.replan }), rate(n, results, func(x result) cost { return x.reviewed }))
		}
	}
	r.growth(p)
	p("The kernel's peak of memory begins with what the measuring program had, so that less than about 20 MiB cannot be told apart.\n")
	p("A machine at work makes these numbers worse before it makes them wrong: compare ratios, and only those whose ranges do not touch.\n")
	return w.Flush()
}

// growth holds the incremental runs of the smallest and the largest directory
// against each other: they have as many changes.
func (r *report) growth(p func(string, ...any)) {
	small, large := slices.Min(r.o.sizes), slices.Max(r.o.sizes)
	if small == large {
		return
	}
	for _, database := range r.o.databases {
		wall := func(x result) float64 { return x.changed.wall.Seconds() }
		a, b := r.results[key{small, database}], r.results[key{large, database}]
		if len(a) > 0 && len(b) > 0 {
			p("%d changes in %d people cost %.2f times what they cost in %d (%s).\n", r.o.changes, large, median(b, wall)/median(a, wall), small, database)
		}
	}
	p("\n")
}

// load and processor are for the reader; where the system does not tell, they say so.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "not known"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "processor not known"
	}
	for l := range strings.SplitSeq(string(b), "\n") {
		if name, ok := strings.CutPrefix(l, "model name"); ok {
			return strings.TrimLeft(name, "\t :")
		}
	}
	return "processor not known"
}
