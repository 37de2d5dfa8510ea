package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The shortest sleep between two looks at what is due: shorter ones cost more CPU than the requests.
const tick = 500 * time.Microsecond

type job struct {
	due     time.Time
	request *Request
}

// run is one scenario being carried out.
type run struct {
	*Scenario
	started time.Time
	timeout time.Duration
	cumul   []float64 // of the weights
	stats   map[string]*Stats
	lag     Histogram // from when a request was due until it was handed to a connection's queue
	sent    int64     // handed out
	tried   int64     // sent, while warming up too
	dials   int64
	stop    chan struct{}
	logs    []entry
	logLock sync.Mutex
	working sync.WaitGroup
}

type entry struct {
	class      string
	due, ended time.Time
	status     int
	chosen     []int
}

func newRun(s *Scenario) *run {
	r := &run{Scenario: s, timeout: time.Duration(s.TimeoutMS) * time.Millisecond, stop: make(chan struct{})}
	if r.timeout <= 0 {
		r.timeout = 10 * time.Second
	}
	r.stats = map[string]*Stats{}
	sum := 0.0
	for _, request := range s.Requests {
		sum += request.Weight
		r.cumul = append(r.cumul, sum)
		if r.stats[request.Class] == nil {
			r.stats[request.Class] = newStats(s)
		}
		request.stats = r.stats[request.Class]
	}
	return r
}

func (r *run) choose(random *rand.Rand) *Request {
	if len(r.Requests) == 1 {
		return r.Requests[0]
	}
	at := random.Float64() * r.cumul[len(r.cumul)-1]
	for i, edge := range r.cumul {
		if at < edge {
			return r.Requests[i]
		}
	}
	return r.Requests[len(r.Requests)-1]
}

// do carries everything out and returns how long it took.
func (r *run) do() time.Duration {
	r.started = time.Now()
	if r.Mode == "open" {
		r.dispatch()
	} else {
		for i := range r.Connections {
			c := r.client(i)
			r.working.Go(func() {
				defer c.drop()
				r.loop(c)
			})
		}
	}
	r.working.Wait()
	return time.Since(r.started)
}

func (r *run) client(number int) *client {
	target := r.Targets[number%len(r.Targets)]
	return &client{run: r, target: target, random: rand.New(rand.NewPCG(r.Seed, uint64(number)+1)), jobs: make(chan job, 1)}
}

func (r *run) end() time.Time { return r.started.Add(time.Duration(r.Seconds * float64(time.Second))) }

func (r *run) loop(c *client) {
	for end := r.end(); ; {
		now := time.Now()
		if now.After(end) || r.stopped() || (r.Limit > 0 && atomic.AddInt64(&r.sent, 1) > r.Limit) {
			return
		}
		r.exchange(c, job{now, r.choose(c.random)})
	}
}

// dispatch sends requests when they are due, each to a target by chance, as a Service does, on a connection that has nothing to
// do; when all are waiting for answers, one more is opened, as another user would: up to `connections`.
func (r *run) dispatch() {
	pools := make([]pool, len(r.Targets))
	random := rand.New(rand.NewPCG(r.Seed, 0))
	mean := float64(time.Second) / r.Rate
	end := r.end()
	for due := r.started; due.Before(end) && !r.stopped(); {
		now := time.Now()
		for !due.After(now) && due.Before(end) {
			if r.Limit > 0 && r.sent >= r.Limit {
				end = due
				break
			}
			r.sent++
			next, target := job{due, r.choose(random)}, random.IntN(len(pools))
			r.lag.add(now.Sub(due).Microseconds())
			p := &pools[target]
			open, taken := p.give(next, r.Connections/len(r.Targets))
			if open {
				c := r.client(p.clients*len(r.Targets) + target)
				r.working.Go(func() { r.serve(c, next, p) })
			} else if !taken {
				next.request.stats.failed(r.window(due), "backlog")
			}
			gap := mean
			if r.Arrivals != "uniform" {
				gap *= random.ExpFloat64()
			}
			due = due.Add(time.Duration(gap))
		}
		time.Sleep(max(tick, time.Until(due)))
	}
	for i := range pools {
		pools[i].end()
	}
}

// serve sends what is due, what could not be taken at once first, until there is no more.
func (r *run) serve(c *client, next job, p *pool) {
	defer c.drop()
	for more := true; more; next, more = p.next(c) {
		r.exchange(c, next)
	}
}

func (r *run) stopped() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// window returns the number of the window in which a request was due, -1 while warming up.
func (r *run) window(due time.Time) int {
	after := due.Sub(r.started).Seconds()
	switch {
	case after < r.Warmup:
		return -1
	case r.Window <= 0:
		return 0
	default:
		return int((after - r.Warmup) / r.Window)
	}
}

// exchange sends a request and counts what came of it. Time counts from when it was due, not from when it could be sent.
func (r *run) exchange(c *client, next job) {
	request, window := next.request, r.window(next.due)
	deadline := next.due.Add(r.timeout)
	if time.Now().After(deadline) {
		request.stats.failed(window, "timeout") // whoever wanted it has given up
		return
	}
	atomic.AddInt64(&r.tried, 1)
	status, body, err := c.send(request, deadline)
	ended := time.Now()
	answer := body
	if request.Capture != nil && request.Capture.Head {
		answer = c.head
	}
	if request.owned >= 0 && !errors.Is(err, errNoneFree) {
		request.giveBack(c.chosen[request.owned], answer, err == nil && request.expects(status))
	}
	if request.Log {
		chosen := append([]int(nil), c.chosen[:len(request.used)]...)
		r.logLock.Lock()
		r.logs = append(r.logs, entry{request.Class, next.due, ended, status, chosen})
		r.logLock.Unlock()
	}
	if err != nil {
		request.stats.failed(window, kind(err))
		return
	}
	expected := request.expects(status)
	request.stats.answered(window, status, expected, len(body), ended.Sub(next.due).Microseconds())
	if !expected {
		return
	}
	if request.tally != nil {
		atomic.AddUint32(&request.tally[c.chosen[request.tallied]], 1)
	}
	if request.Capture != nil && request.owned < 0 {
		request.Capture.take(answer)
	}
}

func (r *Request) expects(status int) bool {
	if len(r.Expect) == 0 {
		return status >= 200 && status < 300
	}
	for _, one := range r.Expect {
		if one == status {
			return true
		}
	}
	return false
}

func kind(err error) string {
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
		return "closed"
	default:
		return err.Error()
	}
}
