package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	mostAnswer = 8 << 20
	// What lay idle for longer is not used again, as an ingress does: the server ends it after 75 s.
	longestIdle = 60 * time.Second
)

var (
	errMalformed = errors.New("malformed")
	errTooLarge  = errors.New("too large")
	errNoneFree  = errors.New("none free") // each line of an exclusive list is in use, or lost
	headEnd      = []byte("\r\n\r\n")
)

// client is one connection and the goroutine that uses it.
type client struct {
	run    *run
	target string
	conn   net.Conn
	random *rand.Rand
	out    []byte // the request
	body   []byte // of the request
	in     []byte // the answer
	head   []byte // of the answer
	chosen [8]int
	used   time.Time // the connection, last
	jobs   chan job  // open runs: what is due, while it has nothing to do
}

// send fills the template, sends it and reads the answer, whose head and body are valid until the next call.
func (c *client) send(r *Request, deadline time.Time) (status int, body []byte, err error) {
	for i, list := range r.used {
		if c.chosen[i] = list.pick(c.random); c.chosen[i] < 0 {
			return 0, nil, errNoneFree
		}
	}
	c.body = c.fill(c.body[:0], r.tail, r.used)
	c.out = c.fill(c.out[:0], r.head, r.used)
	if len(r.tail) > 0 || r.Method == "POST" || r.Method == "PATCH" || r.Method == "PUT" {
		c.out = append(c.out, "Content-Length: "...)
		c.out = strconv.AppendInt(c.out, int64(len(c.body)), 10)
		c.out = append(c.out, '\r', '\n')
	}
	c.out = append(c.out, '\r', '\n')
	c.out = append(c.out, c.body...)
	if c.conn != nil && time.Since(c.used) > longestIdle {
		c.drop()
	}
	if c.conn == nil {
		dialer := net.Dialer{Deadline: deadline}
		if c.conn, err = dialer.Dial("tcp", c.target); err != nil {
			return 0, nil, err
		}
		atomic.AddInt64(&c.run.dials, 1)
	}
	_ = c.conn.SetDeadline(deadline)
	if _, err = c.conn.Write(c.out); err != nil {
		c.drop()
		return 0, nil, err
	}
	status, body, keep, err := c.read(r.Method == "HEAD")
	c.used = time.Now()
	if err != nil || !keep {
		c.drop()
	}
	return status, body, err
}

func (c *client) drop() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *client) fill(to []byte, parts []part, used []*List) []byte {
	for i := range parts {
		p := &parts[i]
		switch {
		case p.list < 0:
			to = append(to, p.text...)
		case used[p.list].live != nil:
			to = append(to, used[p.list].live.at(c.chosen[p.list])...)
		default:
			to = append(to, used[p.list].rows[c.chosen[p.list]][p.column]...)
		}
	}
	return to
}

// read reads one answer.
func (c *client) read(noBody bool) (status int, body []byte, keep bool, err error) {
	c.in = c.in[:0]
	end := -1
	for end < 0 {
		before := len(c.in)
		if err := c.more(); err != nil {
			return 0, nil, false, err
		}
		if at := bytes.Index(c.in[max(0, before-3):], headEnd); at >= 0 {
			end = max(0, before-3) + at
		}
	}
	head := c.in[:end+2]
	c.head = head
	if len(head) < 14 || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) {
		return 0, nil, false, errMalformed
	}
	if status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return 0, nil, false, errMalformed
	}
	length, chunked, keep := headers(head)
	start := end + 4
	switch {
	case noBody || status == 204 || status == 304:
		return status, nil, keep, nil
	case chunked:
		body, err = c.chunks(start)
		return status, body, keep, err
	case length < 0:
		return 0, nil, false, errMalformed
	}
	for len(c.in) < start+length {
		if err := c.more(); err != nil {
			return 0, nil, false, err
		}
	}
	return status, c.in[start : start+length], keep, nil
}

// headers looks for the three that matter, without regard to case.
func headers(head []byte) (length int, chunked, keep bool) {
	length, keep = -1, true
	for rest := head[bytes.IndexByte(head, '\n')+1:]; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		line := bytes.TrimRight(rest[:end], "\r")
		rest = rest[end+1:]
		if len(line) == 0 || (line[0]|0x20 != 'c' && line[0]|0x20 != 't') {
			continue
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if number, err := strconv.Atoi(string(value)); err == nil {
				length = number
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("connection")):
			keep = !bytes.EqualFold(value, []byte("close"))
		}
	}
	return length, chunked, keep
}

func (c *client) chunks(at int) ([]byte, error) {
	var body []byte
	for {
		end := -1
		for end < 0 {
			if end = bytes.Index(c.in[at:], []byte("\r\n")); end < 0 {
				if err := c.more(); err != nil {
					return nil, err
				}
			}
		}
		size, err := strconv.ParseInt(string(c.in[at:at+end]), 16, 32)
		if err != nil {
			return nil, errMalformed
		}
		at += end + 2
		for len(c.in) < at+int(size)+2 {
			if err := c.more(); err != nil {
				return nil, err
			}
		}
		if size == 0 {
			return body, nil
		}
		body = append(body, c.in[at:at+int(size)]...)
		at += int(size) + 2
	}
}

func (c *client) more() error {
	if len(c.in) == cap(c.in) {
		if cap(c.in) >= mostAnswer {
			return errTooLarge
		}
		larger := make([]byte, len(c.in), max(16<<10, 2*cap(c.in)))
		copy(larger, c.in)
		c.in = larger
	}
	count, err := c.conn.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+count]
	if count > 0 {
		return nil
	}
	return err
}
