// Command generator sends HTTP/1.1 requests as a scenario says and prints what came of them as JSON.
//
// It is written to cost little CPU, because it shares the cores with what it measures: one thread, connections that stay open,
// requests put together from bytes, answers of which only status and length are read.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generator SCENARIO.json")
		os.Exit(2)
	}
	scenario, err := load(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "generator:", err)
		os.Exit(2)
	}
	runtime.GOMAXPROCS(max(1, scenario.Procs))
	debug.SetGCPercent(400)
	run := newRun(scenario)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		close(run.stop)
	}()
	before := cpu()
	took := run.do()
	report := map[string]any{
		"started": float64(run.started.UnixMicro()) / 1e6,
		"seconds": took.Seconds(),
		"counted": max(0, min(took.Seconds(), scenario.Seconds)-scenario.Warmup),
		"cpu_us":  (cpu() - before).Microseconds(),
		"dials":   run.dials,
		"sent":    run.tried,
		"lag":     run.lag.sparse(),
	}
	classes, tallies := map[string]any{}, map[string]any{}
	for class, stats := range run.stats {
		classes[class] = stats.report()
	}
	for _, request := range scenario.Requests {
		if request.tally != nil {
			tallies[request.Class] = request.tally
		}
	}
	report["classes"], report["tallies"] = classes, tallies
	if err := errors.Join(run.writeLog(), scenario.writeOwned()); err != nil {
		fmt.Fprintln(os.Stderr, "generator:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		os.Exit(1)
	}
}

func cpu() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// writeLog writes class, when due and when ended (microseconds since 1970), status (0: no answer) and the chosen lines.
func (r *run) writeLog() error {
	if r.Log == "" {
		return nil
	}
	file, err := os.Create(r.Log)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	for _, e := range r.logs {
		fmt.Fprintf(out, "%s\t%d\t%d\t%d", e.class, e.due.UnixMicro(), e.ended.UnixMicro(), e.status)
		for _, index := range e.chosen {
			fmt.Fprintf(out, "\t%d", index)
		}
		fmt.Fprintln(out)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return file.Close()
}
