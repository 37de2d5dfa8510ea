package main

import (
	"bytes"
	"errors"
	"os"
)

// An exclusive list holds what works once, as refresh tokens do: a line belongs to one request at a time, and what that
// request's answer gives replaces it. Whose answer does not is lost, because nobody knows what the server did with it. What is
// left is written back to the file, so that the next run does not send again what was used up.

func (l *List) freeAll() {
	l.free = make(chan int, len(l.rows))
	for i := range l.rows {
		l.free <- i
	}
}

// acquire returns the line that lay free for longest, -1 if none does.
func (l *List) acquire() int {
	select {
	case row := <-l.free:
		return row
	default:
		return -1
	}
}

func (r *Request) findOwned() error {
	r.owned = -1
	for i, list := range r.used {
		if list.free == nil {
			continue
		}
		if r.owned >= 0 {
			return errors.New("two exclusive lists")
		}
		if r.Capture == nil || r.Capture.list != list || len(list.rows[0]) > 1 {
			return errors.New("an exclusive list needs a capture that renews it, and one column")
		}
		r.owned = i
	}
	if r.owned < 0 && r.Capture != nil && r.Capture.list.free != nil {
		return errors.New("capture: nothing of the exclusive list is sent")
	}
	return nil
}

// giveBack frees a line with what the answer holds instead of it.
func (r *Request) giveBack(row int, answer []byte, expected bool) {
	if !expected {
		return
	}
	if found := r.Capture.find(answer); found != nil {
		list := r.used[r.owned]
		list.rows[row][0] = found
		list.free <- row
	}
}

// writeOwned writes what is left of exclusive lists back, when nothing is sent any more.
func (s *Scenario) writeOwned() error {
	for _, list := range s.Lists {
		if list.free == nil {
			continue
		}
		var content bytes.Buffer
		for row := list.acquire(); row >= 0; row = list.acquire() {
			content.Write(append(list.rows[row][0], '\n'))
		}
		if err := os.WriteFile(list.File, content.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}
