package main

import (
	"math/bits"
	"sync/atomic"
)

// Microseconds in buckets that are at most 1/128 wide of what they hold, up to 17 minutes; tests/load/bench/histogram.py reads them.
const buckets = 25 * 128

// Histogram counts values; safe for concurrent use.
type Histogram struct{ counts [buckets]uint32 }

func bucketOf(us int64) int {
	if us < 0 {
		us = 0
	}
	shift := bits.Len64(uint64(us)) - 8
	if shift <= 0 {
		return int(us)
	}
	return min(shift*128+int(us>>shift), buckets-1)
}

func lowest(bucket int) int64 {
	if bucket < 256 {
		return int64(bucket)
	}
	shift := bucket/128 - 1
	return int64(bucket-shift*128) << shift
}

func (h *Histogram) add(us int64) { atomic.AddUint32(&h.counts[bucketOf(us)], 1) }

// sparse returns [lowest value, count] of each bucket that holds something.
func (h *Histogram) sparse() [][2]int64 {
	found := [][2]int64{}
	for bucket := range h.counts {
		if count := atomic.LoadUint32(&h.counts[bucket]); count > 0 {
			found = append(found, [2]int64{lowest(bucket), int64(count)})
		}
	}
	return found
}
