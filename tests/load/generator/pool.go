package main

import "sync"

const mostLate = 1 << 17

// pool is the connections to one target in an open run. The one that was used last is used next, as the ingress does with those
// to its upstreams: what a stall has opened lies idle afterwards.
type pool struct {
	lock    sync.Mutex
	idle    []*client
	late    []job // what nobody could take at once, oldest first
	ended   bool
	clients int
}

// give hands a request to a connection that has nothing to do, or says to open one (at most `most`), or keeps it for the first
// that will have nothing to do; not taken if too many wait already.
func (p *pool) give(next job, most int) (open, taken bool) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		p.idle[last].jobs <- next // has room for one
		p.idle = p.idle[:last]
		return false, true
	}
	if p.clients < most {
		p.clients++
		return true, true
	}
	if len(p.late) >= mostLate {
		return false, false
	}
	p.late = append(p.late, next)
	return false, true
}

// next waits until something is due; false when nothing will be any more.
func (p *pool) next(c *client) (job, bool) {
	p.lock.Lock()
	if len(p.late) > 0 {
		first := p.late[0]
		p.late = p.late[1:]
		p.lock.Unlock()
		return first, true
	}
	if p.ended {
		p.lock.Unlock()
		return job{}, false
	}
	p.idle = append(p.idle, c)
	p.lock.Unlock()
	due, more := <-c.jobs
	return due, more
}

// end lets those go who have nothing to do, and the others once nothing waits any more.
func (p *pool) end() {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.ended = true
	for _, c := range p.idle {
		close(c.jobs)
	}
	p.idle = nil
}
