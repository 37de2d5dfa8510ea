package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"sync/atomic"
)

// Scenario says what is sent, how often and for how long. tests/load/bench/scenario.py writes it.
type Scenario struct {
	Targets     []string         `json:"targets"` // host:port, each with the same share of the connections
	Mode        string           `json:"mode"`    // open: at a rate, whatever comes back; closed: each connection sends when it was answered
	Rate        float64          `json:"rate"`    // requests a second, open only
	Arrivals    string           `json:"arrivals"`
	Connections int              `json:"connections"` // in all: closed as many as that, open at most
	Seconds     float64          `json:"seconds"`
	Warmup      float64          `json:"warmup"` // seconds at the start that are sent and not counted
	Limit       int64            `json:"limit"`  // requests in all, 0: no limit
	Window      float64          `json:"window"` // seconds of a window with figures of its own, 0: none
	TimeoutMS   int              `json:"timeout_ms"`
	Seed        uint64           `json:"seed"`
	Procs       int              `json:"procs"`
	Lists       map[string]*List `json:"lists"`
	Requests    []*Request       `json:"requests"`
	Log         string           `json:"log"` // file for one line a request of the classes that ask for it
}

// List is what a placeholder is filled from: a line of the file, or one of its columns between tabs.
type List struct {
	File  string  `json:"file"`
	Zipf  float64 `json:"zipf"`  // exponent by line number, 0: each line alike
	Order string  `json:"order"` // sequence: one line after the other; exclusive: exclusive.go; else at random

	rows  [][][]byte
	cumul []float64
	next  atomic.Uint64
	live  *ring    // what a capture fills
	free  chan int // exclusive: the lines that no request uses, the one that lies longest first
}

// Request is a template; `{name}` or `{name:column}` in path, headers and body is filled from a list.
type Request struct {
	Class   string            `json:"class"`
	Weight  float64           `json:"weight"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Expect  []int             `json:"expect"` // statuses that are no error, 2xx when empty
	Tally   string            `json:"tally"`  // list whose lines are counted by the answers that were expected
	Log     bool              `json:"log"`
	Capture *Capture          `json:"capture"`

	head, tail []part // tail: the body
	used       []*List
	owned      int // index in used of the exclusive list, -1: none
	stats      *Stats
	tally      []uint32
	tallied    int // index in used
}

// Capture takes strings out of an answer, one after the other, joins them as the format says and puts them into a list.
type Capture struct {
	Into    string      `json:"into"`
	Head    bool        `json:"head"` // out of the headers, not the body
	After   string      `json:"after"`
	Between [][2]string `json:"between"`
	Format  []string    `json:"format"` // one more than there are strings

	list *List
}

type part struct {
	text   []byte
	list   int // index in Request.used, -1: text
	column int
}

func load(path string) (*Scenario, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &Scenario{}
	if err := json.Unmarshal(content, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(s.Targets) == 0 || len(s.Requests) == 0 || s.Connections < len(s.Targets) || s.Seconds <= 0 {
		return nil, errors.New("targets, requests, seconds and a connection for each target are needed")
	}
	if s.Mode == "open" && s.Rate <= 0 {
		return nil, errors.New("an open scenario needs a rate")
	}
	for name, list := range s.Lists {
		if err := list.read(name); err != nil {
			return nil, err
		}
	}
	for _, r := range s.Requests {
		if err := r.prepare(s); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Class, err)
		}
	}
	return s, nil
}

func (l *List) read(name string) error {
	content, err := os.ReadFile(l.File)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(strings.TrimRight(string(content), "\n"), "\n") {
		var columns [][]byte
		for _, column := range strings.Split(line, "\t") {
			columns = append(columns, []byte(column))
		}
		l.rows = append(l.rows, columns)
	}
	if len(l.rows) == 1 && len(l.rows[0][0]) == 0 {
		return fmt.Errorf("list %s: %s is empty", name, l.File)
	}
	if l.Order == "exclusive" {
		l.freeAll()
	}
	if l.Zipf > 0 {
		sum := 0.0
		l.cumul = make([]float64, len(l.rows))
		for i := range l.rows {
			sum += math.Pow(float64(i+1), -l.Zipf)
			l.cumul[i] = sum
		}
	}
	return nil
}

func (l *List) pick(random *rand.Rand) int {
	switch {
	case l.free != nil:
		return l.acquire()
	case l.Order == "sequence":
		return int((l.next.Add(1) - 1) % uint64(len(l.rows)))
	case l.cumul != nil:
		return sort.SearchFloat64s(l.cumul, random.Float64()*l.cumul[len(l.cumul)-1])
	default:
		return random.IntN(len(l.rows))
	}
}

func (r *Request) prepare(s *Scenario) error {
	names := map[string]int{}
	sorted := make([]string, 0, len(r.Headers))
	for name := range r.Headers {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	head := r.Method + " " + r.Path + " HTTP/1.1\r\nHost: bench.localhost\r\n"
	for _, name := range sorted {
		head += name + ": " + r.Headers[name] + "\r\n"
	}
	var err error
	if r.head, err = r.parts(head, s, names); err != nil {
		return err
	}
	if r.tail, err = r.parts(r.Body, s, names); err != nil {
		return err
	}
	if r.Tally != "" {
		index, known := names[r.Tally]
		if !known {
			return fmt.Errorf("tally: no placeholder of the list %q", r.Tally)
		}
		r.tallied, r.tally = index, make([]uint32, len(r.used[index].rows))
	}
	if r.Capture != nil {
		into := s.Lists[r.Capture.Into]
		if into == nil || len(r.Capture.Format) != len(r.Capture.Between)+1 {
			return errors.New("capture: unknown list, or a format that does not fit")
		}
		if into.live == nil && into.free == nil {
			into.live = newRing(into.rows)
		}
		r.Capture.list = into
	}
	return r.findOwned()
}

// parts splits a template at its placeholders. Braces around anything but the name of a list are text.
func (r *Request) parts(template string, s *Scenario, names map[string]int) ([]part, error) {
	var parts []part
	text := ""
	for rest := template; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			text += rest
			break
		}
		text += rest[:open]
		rest = rest[open:]
		end := strings.IndexByte(rest, '}')
		name, column := "", 0
		if end > 0 {
			name = rest[1:end]
			if before, after, found := strings.Cut(name, ":"); found {
				if _, err := fmt.Sscanf(after, "%d", &column); err == nil {
					name = before
				}
			}
		}
		list := s.Lists[name]
		if list == nil {
			text += "{"
			rest = rest[1:]
			continue
		}
		if column < 0 || column >= len(list.rows[0]) {
			return nil, fmt.Errorf("list %s has no column %d", name, column)
		}
		if text != "" {
			parts = append(parts, part{text: []byte(text), list: -1})
			text = ""
		}
		if _, known := names[name]; !known {
			names[name] = len(r.used)
			r.used = append(r.used, list)
		}
		parts = append(parts, part{list: names[name], column: column})
		rest = rest[end+1:]
	}
	if text != "" {
		parts = append(parts, part{text: []byte(text), list: -1})
	}
	return parts, nil
}
