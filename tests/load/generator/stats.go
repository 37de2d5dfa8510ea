package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
)

// Stats is what came of the requests of one class, by window.
type Stats struct {
	windows []*Window
}

// Window is a part of the run with figures of its own.
type Window struct {
	good, bad Histogram // time of the answers that were expected, and of the others
	statuses  [600]uint32
	bytes     int64
	lock      sync.Mutex
	failures  map[string]int64
}

func newStats(s *Scenario) *Stats {
	count := 1
	if s.Window > 0 {
		count = max(1, int(math.Ceil((s.Seconds-s.Warmup)/s.Window)))
	}
	stats := &Stats{}
	for range count {
		stats.windows = append(stats.windows, &Window{failures: map[string]int64{}})
	}
	return stats
}

func (s *Stats) at(window int) *Window { return s.windows[min(window, len(s.windows)-1)] }

func (s *Stats) answered(window, status int, expected bool, size int, us int64) {
	if window < 0 {
		return
	}
	w := s.at(window)
	atomic.AddUint32(&w.statuses[min(status, len(w.statuses)-1)], 1)
	atomic.AddInt64(&w.bytes, int64(size))
	if expected {
		w.good.add(us)
	} else {
		w.bad.add(us)
	}
}

func (s *Stats) failed(window int, kind string) {
	if window < 0 {
		return
	}
	w := s.at(window)
	w.lock.Lock()
	w.failures[kind]++
	w.lock.Unlock()
}

func (s *Stats) report() []map[string]any {
	var found []map[string]any
	for _, w := range s.windows {
		statuses := map[string]uint32{}
		for status, count := range w.statuses {
			if count > 0 {
				statuses[strconv.Itoa(status)] = count
			}
		}
		found = append(found, map[string]any{
			"statuses": statuses, "failures": w.failures, "bytes": w.bytes, "latency": w.good.sparse(), "refused_latency": w.bad.sparse(),
		})
	}
	return found
}

// ring is a list of which the oldest line is replaced by what was seen last.
type ring struct {
	lock sync.RWMutex
	rows [][]byte
	next int
}

func newRing(rows [][][]byte) *ring {
	r := &ring{}
	for _, row := range rows {
		r.rows = append(r.rows, row[0])
	}
	return r
}

func (r *ring) at(index int) []byte {
	r.lock.RLock()
	defer r.lock.RUnlock()
	return r.rows[index]
}

func (r *ring) put(row []byte) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if last := (r.next + len(r.rows) - 1) % len(r.rows); bytes.Equal(r.rows[last], row) {
		return
	}
	r.rows[r.next] = row
	r.next = (r.next + 1) % len(r.rows)
}

// take looks at one answer in eight: what it looks for changes a few times a second.
func (c *Capture) take(answer []byte) {
	if rand.Uint32()&7 != 0 {
		return
	}
	if row := c.find(answer); row != nil {
		c.list.live.put(row)
	}
}

// find returns what is looked for, nil where it is not there.
func (c *Capture) find(answer []byte) []byte {
	at := bytes.LastIndex(answer, []byte(c.After))
	if at < 0 {
		return nil
	}
	rest := answer[at:]
	row := []byte(c.Format[0])
	for i, edges := range c.Between {
		start := bytes.Index(rest, []byte(edges[0]))
		if start < 0 {
			return nil
		}
		value := rest[start+len(edges[0]):]
		end := bytes.Index(value, []byte(edges[1]))
		if end < 0 {
			return nil
		}
		row = append(append(row, value[:end]...), c.Format[i+1]...)
	}
	return row
}
