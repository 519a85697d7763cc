package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// heads writes the head of the chain of events into the log now and then. Logs are
// usually kept elsewhere, out of reach of whoever could put an older end of the
// feed back in the database.
func (s *Server) heads(ctx context.Context) {
	const often = time.Hour
	tick := time.NewTicker(often)
	defer tick.Stop()
	last := ""
	say := func(ctx context.Context) {
		head, err := s.Store.EventTable.Head(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.Log.Error("the head of the feed could not be read", "error", err.Error())
		case head != "" && head != last:
			last = head
			s.Log.Info("head of the feed; `rollcall doctor --head` compares", "head", head)
		}
	}
	for {
		say(ctx)
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			say(end)
			return
		case <-tick.C:
		}
	}
}

// waiting are the numbers of deliveries under way, the same on every node.
func (s *Server) waiting() prometheus.Collector {
	return waiting{s,
		prometheus.NewDesc("rollcall_deliveries_pending", "Deliveries that are still tried, of the whole installation.", nil, nil),
		prometheus.NewDesc("rollcall_deliveries_oldest_seconds", "How long the oldest of them has been tried.", nil, nil)}
}

type waiting struct {
	s           *Server
	count, late *prometheus.Desc
}

func (w waiting) Describe(to chan<- *prometheus.Desc) {
	to <- w.count
	to <- w.late
}

func (w waiting) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n, since, err := w.s.Store.HookTable.Waiting(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(w.count, err)
		return
	}
	age := 0.0
	if n > 0 {
		age = time.Since(since).Seconds()
	}
	to <- prometheus.MustNewConstMetric(w.count, prometheus.GaugeValue, float64(n))
	to <- prometheus.MustNewConstMetric(w.late, prometheus.GaugeValue, age)
}
